//! Events of one run, those that were moved to its history among them.

use std::collections::{BTreeSet, VecDeque};

use mesh_bus::topology::Stream;
use mesh_bus::{Bus, BusError, From, History};
use mesh_schemas::RunId;

use super::merge::{Merged, Placed};
use super::selection::STREAMS;

/// What there is of a run in the streams and in its history, in order; without a run, the streams.
pub(super) struct WithArchived(Option<VecDeque<Placed>>);

impl WithArchived {
    /// No run: the events are those of the streams.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Reads all that there is of a run. Its history is read after the streams: what is removed from them meanwhile is
    /// there by then.
    pub(super) async fn read(
        bus: &dyn Bus,
        run: &RunId,
        events: &mut Merged,
        from: From,
    ) -> Result<Self, BusError> {
        let mut all = Vec::new();
        while let Some(event) = events.present().await? {
            all.push(event);
        }
        let history = History::read(bus.namespace(), &bus.read_history(run).await?);
        for (place, stream) in STREAMS.into_iter().enumerate() {
            if matches!(stream, Stream::Events | Stream::Tasks) {
                let archived = history.of(stream).filter(|stored| match from {
                    From::Begin => true,
                    From::Time(time) => stored.time >= time,
                    From::Now => false,
                });
                all.extend(archived.map(|stored| Placed::new(stored.clone(), place)));
            }
        }
        all.sort_by_key(Placed::place);
        // What is in both places is one event, as is what was stored again after it had been removed.
        let mut facts = BTreeSet::new();
        all.retain(|event| {
            !matches!(event.stream(), Stream::Events | Stream::Tasks)
                || facts.insert(event.stored.message.subject.clone())
        });
        Ok(Self(Some(all.into())))
    }

    /// The next event that was there; `None` after the last.
    pub(super) async fn next(&mut self, events: &mut Merged) -> Result<Option<Placed>, BusError> {
        match &mut self.0 {
            Some(all) => Ok(all.pop_front()),
            None => events.present().await,
        }
    }
}
