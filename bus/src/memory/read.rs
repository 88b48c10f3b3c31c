//! Reading what is stored.

use std::sync::Arc;

use futures::StreamExt as _;
use mesh_schemas::{RunId, StoredMessage};
use tokio::sync::watch;

use super::connection::{Line, MemoryBus, sleep_until_due};
use super::filter::Filter;
use super::place::Place;
use super::server::MemoryServer;
use crate::bus::{Follow, From, RunLog};
use crate::error::BusError;
use crate::topology::Stream;

impl MemoryBus {
    pub(super) async fn events_of(&self, run: &RunId) -> Result<RunLog, BusError> {
        let namespace = self.server.namespace();
        let prefix = format!("{namespace}.*.*.*.*.{run}");
        let filters = [Filter::new(&format!("{prefix}.>")), Filter::new(&prefix)];
        self.ask(
            || format!("read run {run}"),
            |state| {
                let log = self.there(state)?.log(Stream::Events);
                let is_of_run = |stored: &&StoredMessage| {
                    filters.iter().any(|filter| filter.matches(&stored.message.subject))
                };
                let events = log.all_after(0).filter(is_of_run).cloned().collect();
                Ok(RunLog { events, end: log.last_sequence() })
            },
        )
        .await
    }

    pub(super) async fn last_on(
        &self,
        stream: Stream,
        subject: &str,
    ) -> Result<Option<StoredMessage>, BusError> {
        let operation = || format!("read the last message on {subject}");
        self.ask(operation, |state| Ok(self.there(state)?.log(stream).last_on(subject).cloned())).await
    }

    pub(super) async fn message_at(
        &self,
        stream: Stream,
        sequence: u64,
    ) -> Result<Option<StoredMessage>, BusError> {
        let operation = || format!("read message {sequence}");
        self.ask(operation, |state| Ok(self.there(state)?.log(stream).at(sequence).cloned())).await
    }

    pub(super) async fn read_along(
        &self,
        stream: Stream,
        filters: Vec<String>,
        from: From,
    ) -> Result<Follow, BusError> {
        let (seen, grown) = self
            .ask(
                || "read a stream".to_owned(),
                |state| {
                    let log = self.there(state)?.log(stream);
                    let seen = match from {
                        From::Begin => 0,
                        From::Now => log.last_sequence(),
                        From::Time(time) => {
                            let first = log.all_after(0).find(|stored| stored.time >= time);
                            first.map_or_else(|| log.last_sequence(), |stored| stored.sequence - 1)
                        }
                    };
                    Ok((seen, log.grown()))
                },
            )
            .await?;
        Ok(along(self, stream.into(), Filter::all(&filters), seen, grown).map(Ok).boxed())
    }
}

/// The messages of a place after a sequence: those that are there, `None` once, then each new one.
pub(super) fn along(
    bus: &MemoryBus,
    place: Place,
    filters: Vec<Filter>,
    seen: u64,
    grown: watch::Receiver<u64>,
) -> impl futures::Stream<Item = Option<StoredMessage>> + Send + use<> {
    let along = Along {
        server: bus.server.clone(),
        line: Arc::clone(&bus.line),
        place,
        filters,
        seen,
        grown,
        told: false,
    };
    futures::stream::unfold(along, |mut along| async move { Some((along.next().await, along)) })
}

/// Reads a place from message to message.
struct Along {
    server: MemoryServer,
    line: Arc<Line>,
    place: Place,
    filters: Vec<Filter>,
    /// Sequence of the last message that was looked at.
    seen: u64,
    grown: watch::Receiver<u64>,
    /// Whether the end of what was there at first has been told.
    told: bool,
}

impl Along {
    async fn next(&mut self) -> Option<StoredMessage> {
        loop {
            self.line.is_there().await;
            let due = {
                let state = self.server.lock();
                let next = state.log(self.place).after(self.seen, &self.filters).filter(|_| state.is_up);
                if let Some(stored) = next {
                    self.seen = stored.sequence;
                    return Some(stored.clone());
                }
                state.next_due(self.place)
            };
            if !std::mem::replace(&mut self.told, true) {
                return None;
            }
            tokio::select! {
                biased;
                _ = self.grown.changed() => {}
                () = sleep_until_due(&self.server, due) => {}
            }
        }
    }
}
