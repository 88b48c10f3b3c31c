//! From an event to those that follow.

use async_nats::Message;
use futures::StreamExt as _;
use futures::future::try_join_all;
use futures::stream::FuturesUnordered;
use serde::Deserialize;
use tokio::task::JoinSet;

use super::course::{Next, Open, Place};
use super::{Body, Floor, failed};
use crate::bus::Bus as _;
use crate::consume::ConsumerSpec;
use crate::error::BusError;
use crate::topology::{relay_consumer, shard_consumer};

/// Messages of a consumer that are in hand at once.
const AT_ONCE: usize = 1_024;

/// What the relay reads of a request: whoever asks for a run writes its id there.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    correlationid: &'a str,
}

impl Floor {
    /// Follows requests, whose correlation ids are the ids of their runs, and runs.
    ///
    /// # Errors
    /// The first [`BusError`] of any kind; it does not end otherwise.
    pub async fn orchestrate(self) -> Result<(), BusError> {
        let shards = self.bus.shards().await?;
        let mut parts = JoinSet::new();
        for shard in shards.iter() {
            parts.spawn(self.clone().shard(shard));
        }
        parts.spawn(self.relay());
        super::first(parts).await
    }

    /// Begins a run for each request.
    async fn relay(self) -> Result<(), BusError> {
        let namespace = self.bus.namespace();
        self.follow(&relay_consumer(namespace), |request| {
            let name = request.subject.rsplit('.').next().unwrap_or_default();
            let Request { correlationid: run } =
                serde_json::from_slice(&request.payload).map_err(|error| failed("read a request", &error))?;
            Ok(vec![(format!("{namespace}.workflow.started.{name}.-.{run}"), &self.started)])
        })
        .await
    }

    /// Follows the runs of a shard.
    async fn shard(self, shard: u32) -> Result<(), BusError> {
        let mut open = Open::default();
        let spec = shard_consumer(self.bus.namespace(), shard);
        self.follow(&spec, |event| Ok(self.following(&mut open, &event.subject))).await
    }

    /// What follows on an event, by its subject alone.
    fn following(&self, open: &mut Open, subject: &str) -> Vec<(String, &Body)> {
        let tokens: Vec<&str> = subject.split('.').collect();
        let [namespace, kind, verb, name, _, shard, uuid, rest @ ..] = tokens.as_slice() else {
            return Vec::new();
        };
        let run = format!("{shard}.{uuid}");
        let task = |place: Place, attempt: u32| {
            (format!("{namespace}.task.created.{name}.normal.{run}.{place}.{attempt}"), &self.created)
        };
        let next = match (*kind, *verb, rest) {
            ("workflow", "started", _) => self.course.begin(),
            ("task", "completed", [place, ..]) => match Place::parse(place) {
                Some(place) => self.course.after(open, &run, place),
                None => Next::Nothing,
            },
            ("task", "failed", [place, ..]) => {
                return Place::parse(place).map(|place| task(place, 2)).into_iter().collect();
            }
            _ => Next::Nothing,
        };
        match next {
            Next::Nothing => Vec::new(),
            Next::Tasks(places) => places.into_iter().map(|place| task(place, 1)).collect(),
            Next::End => vec![(format!("{namespace}.workflow.completed.{name}.-.{run}"), &self.ended)],
        }
    }

    /// Stores what follows on each message of a consumer, and then acknowledges it.
    async fn follow<'a>(
        &'a self,
        spec: &ConsumerSpec,
        mut following: impl FnMut(&Message) -> Result<Vec<(String, &'a Body)>, BusError>,
    ) -> Result<(), BusError> {
        let mut messages = self.messages(spec).await?;
        let mut at_work = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(settled) = at_work.next(), if !at_work.is_empty() => settled?,
                message = messages.next(), if at_work.len() < AT_ONCE => {
                    let message = match message {
                        Some(Ok(message)) => message,
                        // The client tells of a heartbeat that came late, and goes on.
                        Some(Err(_)) => continue,
                        None => return Err(failed("receive", &"the consumer ended")),
                    };
                    let following = following(&message)?;
                    at_work.push(async move {
                        try_join_all(following.into_iter().map(|(subject, body)| self.store(subject, body))).await?;
                        message.ack().await.map_err(|error| failed("acknowledge", &error))
                    });
                }
            }
        }
    }
}
