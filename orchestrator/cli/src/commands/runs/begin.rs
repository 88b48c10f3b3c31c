use std::time::Duration;

use futures::StreamExt as _;
use mesh_bus::history::{self, Stage};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, BusError, Follow, From};
use mesh_schemas::payload::RequestRejected;
use mesh_schemas::{Namespace, RunId, StoredMessage};

use super::state::data;
use crate::follow::follow;

/// What became of the request for a run.
pub(crate) enum Begun {
    /// The run began, with this event.
    Started(Box<StoredMessage>),
    Rejected(RequestRejected),
    /// Nobody has taken it up so far.
    NotYet,
}

/// Waits for the beginning of a run.
pub(crate) struct Beginning {
    /// The beginning of a run that was archived, if it was.
    archived: Option<StoredMessage>,
    started: Follow,
    rejected: Follow,
}

impl Beginning {
    /// Of a run whose request is submitted after this: a rejection that stands already was the answer to an earlier
    /// try.
    pub(crate) async fn before_submit(bus: &dyn Bus, run: &RunId) -> Result<Self, BusError> {
        Self::new(bus, run, From::Now).await
    }

    /// Of a run that was asked for.
    pub(crate) async fn of(bus: &dyn Bus, run: &RunId) -> Result<Self, BusError> {
        Self::new(bus, run, From::Begin).await
    }

    async fn new(bus: &dyn Bus, run: &RunId, rejections_from: From) -> Result<Self, BusError> {
        let started = vec![format!("{}.workflow.started.*.-.{run}", bus.namespace())];
        let archived = history::archived(bus, run).await?;
        let begun = archived.and_then(|archived| {
            let mut events = archived.of(Stream::Events);
            events.find(|stored| Stage::of(bus.namespace(), stored) == Stage::Beginning).cloned()
        });
        Ok(Self {
            archived: begun,
            started: follow(bus, Stream::Events, started, From::Begin).await?,
            rejected: follow(bus, Stream::Notes, rejections(bus.namespace(), run), rejections_from).await?,
        })
    }

    /// What becomes of the request in a time.
    pub(crate) async fn within(mut self, limit: Duration) -> Result<Begun, BusError> {
        tokio::time::timeout(limit, self.next()).await.unwrap_or(Ok(Begun::NotYet))
    }

    async fn next(&mut self) -> Result<Begun, BusError> {
        if let Some(stored) = self.archived.take() {
            return Ok(Begun::Started(Box::new(stored)));
        }
        loop {
            tokio::select! {
                // A run that began was not rejected, whatever became of earlier tries of its request.
                biased;
                Some(started) = self.started.next() => {
                    if let Some(stored) = started? {
                        return Ok(Begun::Started(Box::new(stored)));
                    }
                }
                Some(rejected) = self.rejected.next() => {
                    if let Some(rejected) = rejected?.and_then(|stored| data(&stored)) {
                        return Ok(Begun::Rejected(rejected));
                    }
                }
                else => return Ok(Begun::NotYet),
            }
        }
    }
}

/// The subjects of rejections of the request for a run.
pub(super) fn rejections(namespace: &Namespace, run: &RunId) -> Vec<String> {
    vec![format!("{namespace}.request.rejected.*.{}", run.uuid())]
}
