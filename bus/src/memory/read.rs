//! Reading what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt as _;
use mesh_schemas::{RunId, StoredMessage, Subject};
use tokio::sync::watch;

use super::connection::{Line, MemoryBus, sleep_until_due};
use super::filter::{Filter, any_matches};
use super::place::Place;
use super::server::MemoryServer;
use crate::bus::{Follow, From, MAX_SHORT_RUN, RunLog, too_many_subjects};
use crate::error::BusError;
use crate::topology::Stream;

impl MemoryBus {
    pub(super) async fn events_of(&self, run: &RunId) -> Result<RunLog, BusError> {
        self.events_after(run, 0).await
    }

    pub(super) async fn short_run(&self, run: &RunId, at_most: usize) -> Result<Option<RunLog>, BusError> {
        let log = self.events_of(run).await?;
        Ok(Some(log).filter(|log| log.events.len() <= at_most))
    }

    pub(super) async fn events_of_itself(&self, run: &RunId) -> Result<RunLog, BusError> {
        let mut log = self.events_of(run).await?;
        let namespace = self.server.namespace();
        log.events.retain(|event| {
            let subject = Subject::parse(namespace, &event.message.subject);
            matches!(subject, Ok(Subject::Workflow { .. } | Subject::Checkpointed { .. }))
        });
        Ok(log)
    }

    pub(super) async fn subjects_on(
        &self,
        stream: Stream,
        filter: &str,
    ) -> Result<BTreeSet<String>, BusError> {
        let operation = || format!("read the subjects on {filter}");
        self.ask(operation, |state| {
            let filters = Filter::all(&[filter.to_owned()]);
            let log = self.there(state)?.log(stream);
            let passing = log.all_after(0).map(|stored| &stored.message.subject);
            Ok(passing.filter(|subject| any_matches(&filters, subject)).cloned().collect())
        })
        .await
    }

    pub(super) async fn events_after(&self, run: &RunId, after: u64) -> Result<RunLog, BusError> {
        let operation = || format!("read run {run}");
        self.ask(operation, |state| {
            let state = self.there(state)?;
            let log = state.log(Stream::Events);
            let end = state.read_up_to.unwrap_or(u64::MAX).min(log.last_sequence());
            let run = run.to_string();
            let events = log.of_run(&run).take_while(|event| event.sequence <= end);
            let events = events.filter(|event| event.sequence > after);
            Ok(RunLog { events: events.cloned().collect(), end })
        })
        .await
    }

    /// What a place holds of a run.
    pub(super) async fn all_of(&self, stream: Stream, run: &RunId) -> Result<Vec<StoredMessage>, BusError> {
        let operation = || format!("read the {} of run {run}", stream.short_name());
        let run = run.to_string();
        self.ask(operation, |state| Ok(self.there(state)?.log(stream).of_run(&run).cloned().collect())).await
    }

    pub(super) async fn last_on(
        &self,
        stream: Stream,
        subject: &str,
    ) -> Result<Option<StoredMessage>, BusError> {
        let operation = || format!("read the last message on {subject}");
        self.ask(operation, |state| Ok(self.there(state)?.log(stream).last_on(subject).cloned())).await
    }

    pub(super) async fn each_last(
        &self,
        stream: Stream,
        filters: &[String],
    ) -> Result<Vec<StoredMessage>, BusError> {
        let operation = || format!("read the last messages on {} subjects", filters.len());
        self.ask(operation, |state| {
            let filters = Filter::all(filters);
            let log = self.there(state)?.log(stream);
            let passing = log.all_after(0).filter(|stored| any_matches(&filters, &stored.message.subject));
            let mut last: BTreeMap<&str, &StoredMessage> = BTreeMap::new();
            for stored in passing {
                last.insert(&stored.message.subject, stored);
            }
            if last.len() > MAX_SHORT_RUN {
                return Err(too_many_subjects(operation()));
            }
            let mut last: Vec<StoredMessage> = last.into_values().cloned().collect();
            last.sort_unstable_by_key(|stored| stored.sequence);
            Ok(last)
        })
        .await
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
    let end = match bus.server.lock().log(place).after(seen, &filters) {
        Some(_) => End::Ahead,
        None => End::Here,
    };
    let along =
        Along { server: bus.server.clone(), line: Arc::clone(&bus.line), place, filters, seen, grown, end };
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
    end: End,
}

/// The end of what was there at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// There is more.
    Ahead,
    /// It is reached, and to be told of next.
    Here,
    Told,
}

impl Along {
    async fn next(&mut self) -> Option<StoredMessage> {
        if self.end == End::Here {
            self.end = End::Told;
            return None;
        }
        loop {
            self.line.is_there().await;
            let due = {
                let state = self.server.lock();
                let log = state.log(self.place);
                if let Some(stored) = log.after(self.seen, &self.filters).filter(|_| state.is_up) {
                    self.seen = stored.sequence;
                    if self.end == End::Ahead && log.after(self.seen, &self.filters).is_none() {
                        self.end = End::Here;
                    }
                    return Some(stored.clone());
                }
                // What was there may have been removed before it was read.
                if self.end == End::Ahead && state.is_up {
                    self.end = End::Told;
                    return None;
                }
                // While the server is away, nothing comes due.
                state.next_due(self.place).filter(|_| state.is_up)
            };
            tokio::select! {
                biased;
                _ = self.grown.changed() => {}
                () = sleep_until_due(&self.server, due) => {}
            }
        }
    }
}
