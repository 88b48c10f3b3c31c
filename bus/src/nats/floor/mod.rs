//! The least that NATS has to do for runs: what benchmarks compare the mesh with.
//!
//! The same streams, consumers, subjects, conditions, deliveries and acknowledgements as a run has (its request, its
//! beginning, its tasks, who takes them, their outcomes, and its end), by the client library alone. Nothing is read,
//! decided or kept: bodies are the same bytes each time. It survives no failure, and is no part of the mesh.

mod course;
mod orchestrator;
mod worker;

use std::fmt::Display;
use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::context::{Context, ContextBuilder};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use bytes::Bytes;
use mesh_schemas::Message;
use tokio::task::JoinSet;

use super::bus::NatsBus;
use super::consumer::{Existing, PIN_GROUP};
use super::wire;
use crate::bus::Bus as _;
use crate::consume::ConsumerSpec;
use crate::error::BusError;
use crate::topology::SHARD_PULL_EXPIRES;

pub use course::Course;

/// Messages that a consumer is asked for at a time.
const BATCH: usize = 512;

/// Messages that may be on their way at once.
const IN_FLIGHT: usize = 100_000;

/// Bodies of the events of a run. The subjects in them do not count.
#[derive(Debug, Clone)]
pub struct Bodies {
    /// Of `workflow.started`.
    pub started: Message,
    /// Of `task.created`.
    pub created: Message,
    /// Of `task.assigned`.
    pub assigned: Message,
    /// Of `task.completed`, and of `task.failed` where tasks fail.
    pub outcome: Message,
    /// Of `workflow.completed`.
    pub ended: Message,
}

/// A part of the bare loop.
#[derive(Debug, Clone)]
pub struct Floor {
    bus: Arc<NatsBus>,
    jetstream: Context,
    course: Course,
    started: Body,
    created: Body,
    assigned: Body,
    outcome: Body,
    ended: Body,
}

/// What is published of a message besides its subject.
#[derive(Debug, Clone)]
struct Body {
    headers: HeaderMap,
    payload: Bytes,
}

impl Body {
    fn new(message: Message) -> Result<Self, BusError> {
        let headers = wire::to_nats(&message.headers)
            .map_err(|error| BusError::Refused { operation: "send an event".to_owned(), error })?;
        Ok(Self { headers, payload: message.payload })
    }
}

impl Floor {
    /// A part that follows runs of this course, in a namespace that is set up.
    ///
    /// # Errors
    /// [`BusError::Refused`] for headers that NATS cannot carry.
    pub fn new(bus: Arc<NatsBus>, course: Course, bodies: Bodies) -> Result<Self, BusError> {
        // A loop over 10 000 items stores all of its tasks at once.
        let jetstream = ContextBuilder::new().max_ack_inflight(IN_FLIGHT).build(bus.api.client.clone());
        Ok(Self {
            bus,
            jetstream,
            course,
            started: Body::new(bodies.started)?,
            created: Body::new(bodies.created)?,
            assigned: Body::new(bodies.assigned)?,
            outcome: Body::new(bodies.outcome)?,
            ended: Body::new(bodies.ended)?,
        })
    }

    /// Stores an event on a subject that holds none, and waits until it is stored.
    async fn store(&self, subject: String, body: &Body) -> Result<PublishAck, BusError> {
        let failed = |error: &dyn Display| failed(&format!("store {subject}"), error);
        let message = PublishMessage::build()
            .headers(body.headers.clone())
            .payload(body.payload.clone())
            .expected_last_subject_sequence(0);
        let sent = self.jetstream.send_publish(subject.clone(), message).await;
        sent.map_err(|error| failed(&error))?.await.map_err(|error| failed(&error))
    }

    /// Sends an event that nobody waits for.
    async fn send(&self, subject: String, body: &Body) -> Result<(), BusError> {
        let client = &self.bus.api.client;
        let sent = client.publish_with_headers(subject, body.headers.clone(), body.payload.clone()).await;
        sent.map_err(|error| failed("send an event", &error))
    }

    /// Messages of a durable consumer, which is made if it is not there.
    async fn messages(&self, spec: &ConsumerSpec) -> Result<pull::Stream, BusError> {
        self.bus.ensure(spec, Existing::Keep).await?;
        let operation = format!("receive from consumer {}", spec.name);
        let failed = |error: &dyn Display| failed(&operation, error);
        let stream = spec.stream.name(self.bus.namespace());
        let consumer: PullConsumer = self
            .jetstream
            .get_consumer_from_stream(&spec.name, stream)
            .await
            .map_err(|error| failed(&error))?;
        let stream = consumer.stream().max_messages_per_batch(BATCH);
        let stream = if spec.pinned.is_some() {
            stream.expires(SHARD_PULL_EXPIRES).heartbeat(SHARD_PULL_EXPIRES * 2 / 5).group(PIN_GROUP)
        } else {
            stream
        };
        stream.messages().await.map_err(|error| failed(&error))
    }
}

/// What becomes of the first part that ends; the others end with it.
async fn first(mut parts: JoinSet<Result<(), BusError>>) -> Result<(), BusError> {
    match parts.join_next().await {
        Some(Ok(ended)) => ended,
        Some(Err(died)) => Err(failed("run the bare loop", &died)),
        None => Ok(()),
    }
}

fn failed(operation: &str, error: &dyn Display) -> BusError {
    BusError::Unavailable { operation: operation.to_owned(), error: error.to_string() }
}
