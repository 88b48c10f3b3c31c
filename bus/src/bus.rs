use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use mesh_schemas::{
    DEFAULT_MAX_INLINE, Message, Namespace, ObjectName, ObjectOwner, RunId, Shards, StoredMessage,
};
use serde_json::Value;

use crate::clock::BootInstant;
use crate::consume::{ConsumerSpec, Deliveries, Flow};
use crate::error::{BusError, PublishError};
use crate::health::{Backlog, Connection, Fill, Health, Instance};
use crate::topology::{Bucket, Stream, Topology};

/// A message on its way into a stream.
#[derive(Debug, Clone)]
pub struct Publish {
    /// Subject, headers and body.
    pub message: Message,
    /// Refuse the message if its subject already holds one: a subject names one fact.
    pub once: bool,
    /// Refuse the message unless the last one on its subject is at this sequence: for messages that continue each other.
    pub follows: Option<u64>,
    /// Do not deliver the message now, but store a copy on another subject at a time. The message stays on its
    /// own subject until then, and publishing there again replaces it.
    pub schedule: Option<(DateTime<Utc>, String)>,
    /// Drop the message after this time, in whole seconds from 1.
    pub ttl: Option<Duration>,
}

impl Publish {
    /// A message that is stored once and for all on its subject.
    #[must_use]
    pub fn once(message: Message) -> Self {
        Self { once: true, ..Self::plain(message) }
    }

    /// A message that may stand beside others on its subject.
    #[must_use]
    pub fn plain(message: Message) -> Self {
        Self { message, once: false, follows: None, schedule: None, ttl: None }
    }

    /// A message that appears on `target` at a time.
    #[must_use]
    pub fn at(message: Message, due: DateTime<Utc>, target: String) -> Self {
        Self { schedule: Some((due, target)), ..Self::plain(message) }
    }

    /// A message that stands right behind another on its subject.
    #[must_use]
    pub fn behind(message: Message, sequence: u64) -> Self {
        Self { follows: Some(sequence), ..Self::plain(message) }
    }
}

/// What became of a published message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is stored at this sequence.
    Now(u64),
    /// Its subject already held a message, or another than the one that it should follow: the fact was known, or
    /// somebody else was quicker.
    Already,
}

/// All events of one run that the log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLog {
    /// The events in stream order.
    pub events: Vec<StoredMessage>,
    /// Last sequence of the stream as the answering server knew it: events after it may be missing.
    pub end: u64,
}

/// Most events that [`Bus::read_short_run`] can be asked for: NATS hands out the messages of so many subjects in one go.
pub const MAX_SHORT_RUN: usize = 1_024;

/// Why [`Bus::last_on_each`] does not read.
pub(crate) fn too_many_subjects(operation: String) -> BusError {
    let error = format!("more than {MAX_SHORT_RUN} subjects pass: ask for fewer at a time");
    BusError::Refused { operation, error }
}

/// A value in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value; empty when `deleted`.
    pub value: Bytes,
    /// Grows with each change of the bucket.
    pub revision: u64,
    /// When the server stored it.
    pub time: DateTime<Utc>,
    /// Whether this tells that the key is gone.
    pub deleted: bool,
}

/// What the bucket of objects holds of one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedObjects {
    /// Whose it is.
    pub owner: ObjectOwner,
    /// When the newest part of it was stored.
    pub newest: DateTime<Utc>,
    /// Objects that [`Bus::remove_objects`] does not find by their owner: other clients made them, or what they were made
    /// of is gone already.
    pub strays: Vec<ObjectName>,
}

impl OwnedObjects {
    /// Removes all of it.
    ///
    /// # Errors
    /// [`BusError`]; it may be called again.
    pub async fn remove(&self, bus: &dyn Bus) -> Result<(), BusError> {
        bus.remove_objects(&self.owner).await?;
        for stray in &self.strays {
            bus.remove_object(stray).await?;
        }
        Ok(())
    }
}

/// Messages of a subscription, as they pass; nothing is kept for a subscriber that is away.
pub type Subscription = BoxStream<'static, Message>;
/// First every present entry of a bucket, then each change; `None` once where the present ends.
pub type Watch = BoxStream<'static, Result<Option<Entry>, BusError>>;

/// Messages of a stream in order; `None` once where those that were there end. After an error the stream goes on
/// where it was.
pub type Follow = BoxStream<'static, Result<Option<StoredMessage>, BusError>>;

/// Where in a stream to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With the oldest message.
    Begin,
    /// With the first message that was stored at this time or later.
    Time(DateTime<Utc>),
    /// With the next message.
    Now,
}

/// How a process is, in its own words: asked for whenever somebody looks, so it must be quick.
pub type Report = Arc<dyn Fn() -> Value + Send + Sync>;

/// How a process answers `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS` (NATS ADR-32) for as long as it is kept.
pub struct Service {
    id: String,
    _guard: Box<dyn std::any::Any + Send + Sync>,
}

impl Service {
    pub(crate) fn new(id: String, guard: impl std::any::Any + Send + Sync) -> Self {
        Self { id, _guard: Box::new(guard) }
    }

    /// Names the process among the [`instances`](Bus::instances) of its service.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// What the mesh needs of a message bus.
///
/// Implementations are shared between tasks. Every method may be called again after an error; publishing with
/// `once` and everything on buckets is idempotent. Dropping a future does not undo what was sent. Lost
/// connections are mended by the implementation: calls made meanwhile wait for the time limit of the operation
/// and then fail with a retryable error.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// First token of every subject.
    fn namespace(&self) -> &Namespace;

    /// Largest body, in bytes, of an event that carries its data itself; see [`publish_event`](crate::publish_event).
    fn max_inline(&self) -> usize {
        DEFAULT_MAX_INLINE
    }

    /// Number of shards of the namespace.
    ///
    /// # Errors
    /// [`BusError::NotSetUp`] while the namespace does not exist.
    async fn shards(&self) -> Result<Shards, BusError>;

    /// The time of day.
    fn now(&self) -> DateTime<Utc>;

    /// The present moment by the clock of [`Delivery::received`](crate::Delivery::received).
    fn moment(&self) -> BootInstant;

    /// Makes streams, buckets and shared consumers, or checks that those there are as they should be.
    ///
    /// # Errors
    /// [`BusError::Conflict`] if something of that name is there and differs in a way that cannot be mended.
    async fn set_up(&self, topology: &Topology) -> Result<(), BusError>;

    /// Stores a message and waits until it is stored.
    ///
    /// # Errors
    /// See [`PublishError`]; after a retryable one it is not known whether the message was stored.
    async fn publish(&self, publish: Publish) -> Result<Stored, PublishError>;

    /// Sends a message without storing it and without waiting: to whoever is listening now.
    async fn notify(&self, message: Message) -> Result<(), BusError>;

    /// Listens to subjects, with wildcards, without anything being kept. Returns once the bus knows of the
    /// subscription: what is published after that is not missed while the connection lasts.
    async fn subscribe(&self, filter: &str) -> Result<Subscription, BusError>;

    /// Removes the message that waits on a schedule's subject, if it still waits. Sent and not confirmed: a schedule
    /// may come due all the same.
    async fn unschedule(&self, subject: &str) -> Result<(), BusError>;

    /// Makes a consumer if it is not there and begins to receive from it.
    async fn consume(&self, spec: &ConsumerSpec, flow: Flow) -> Result<Box<dyn Deliveries>, BusError>;

    /// Makes a consumer if it is not there.
    async fn ensure_consumer(&self, spec: &ConsumerSpec) -> Result<(), BusError>;

    /// Stream sequence of the newest message that a consumer has delivered to anyone; 0 if none yet.
    async fn delivered(&self, spec: &ConsumerSpec) -> Result<u64, BusError>;

    /// Sequence up to which everything that a consumer delivers is acknowledged; 0 if nothing is yet.
    async fn settled(&self, spec: &ConsumerSpec) -> Result<u64, BusError>;

    /// All events of a run in the log, however many.
    async fn read_run(&self, run: &RunId) -> Result<RunLog, BusError>;

    /// All events of a run in the log, if there are no more than `at_most`, which is up to [`MAX_SHORT_RUN`]: as many as
    /// are handed out in one go.
    async fn read_short_run(&self, run: &RunId, at_most: usize) -> Result<Option<RunLog>, BusError>;

    /// All events of a run in the log behind a sequence, however many.
    async fn read_run_after(&self, run: &RunId, after: u64) -> Result<RunLog, BusError>;

    /// The events that tell of a run as a whole: that it began, how it ended, and its checkpoints. Of a server that is
    /// behind, those that it knows.
    async fn read_run_itself(&self, run: &RunId) -> Result<RunLog, BusError>;

    /// The subjects of a stream that hold a message and pass a filter, by the word of whoever must know.
    async fn list_subjects(&self, stream: Stream, filter: &str) -> Result<BTreeSet<String>, BusError>;

    /// All work of a run that is kept among the tasks, in order.
    async fn read_work(&self, run: &RunId) -> Result<Vec<StoredMessage>, BusError>;

    /// All that is archived of a run, in the order in which it was archived, with nothing left out: what was stored
    /// before is there.
    async fn read_history(&self, run: &RunId) -> Result<Vec<StoredMessage>, BusError>;

    /// The messages of a stream on any of these subjects, which may have wildcards, in stream order and each once:
    /// first those that are there, then each new one as it comes. Leaves no mark on the stream.
    async fn follow(&self, stream: Stream, filters: Vec<String>, from: From) -> Result<Follow, BusError>;

    /// The last message on a subject, which may have wildcards.
    async fn last(&self, stream: Stream, subject: &str) -> Result<Option<StoredMessage>, BusError>;

    /// The last message on each subject that passes one of these filters, which may have wildcards, in stream order: many
    /// questions for little more than the price of one.
    ///
    /// # Errors
    /// [`BusError::Refused`] if more than [`MAX_SHORT_RUN`] subjects pass; and as for every read.
    async fn last_on_each(&self, stream: Stream, filters: &[String]) -> Result<Vec<StoredMessage>, BusError>;

    /// The message at a sequence of a stream, if it is still there.
    async fn at(&self, stream: Stream, sequence: u64) -> Result<Option<StoredMessage>, BusError>;

    /// Removes the message at a sequence of a stream; `false` if it is not there (any more). Nobody is delivered it after
    /// that, its sequence is never given again, and where a subject names one fact, its subject is free again. After a
    /// retryable error it is not known whether it was removed; trying again then may find it gone.
    async fn remove(&self, stream: Stream, sequence: u64) -> Result<bool, BusError>;

    /// Removes what was noted of the attempts of a run: advisory events, which otherwise stay for their time. Costs about a
    /// millisecond, however many there are.
    async fn remove_notes(&self, run: &RunId) -> Result<(), BusError>;

    /// The value of a key.
    async fn get(&self, bucket: Bucket, key: &str) -> Result<Option<Entry>, BusError>;

    /// Sets the value of a key, for a time or for good. Returns the revision.
    async fn put(
        &self,
        bucket: Bucket,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<u64, BusError>;

    /// Removes a key, if it is there.
    async fn delete(&self, bucket: Bucket, key: &str) -> Result<(), BusError>;

    /// Everything in a bucket now.
    async fn entries(&self, bucket: Bucket) -> Result<Vec<Entry>, BusError>;

    /// Follows a bucket.
    async fn watch(&self, bucket: Bucket) -> Result<Watch, BusError>;

    /// Keeps content as an object of an owner, under the name by which everyone can have it once this has returned. Content
    /// that the owner has already is not stored again. At most [`mesh_schemas::MAX_OBJECT_BYTES`] long.
    ///
    /// A call that did not end well may leave parts behind, which nobody sees and which go with the owner.
    async fn put_object(&self, owner: &ObjectOwner, content: Bytes) -> Result<ObjectName, BusError>;

    /// The content of an object: all of it, exactly as it was put; `None` if there is none of that name, by the word of
    /// whoever must know. A server that is behind is not believed.
    ///
    /// # Errors
    /// [`BusError::Damaged`] if parts of it are missing or altered.
    async fn object(&self, name: &ObjectName) -> Result<Option<Bytes>, BusError>;

    /// Removes everything that was put for an owner, and parts that a crash left behind. Whoever reads one of the objects
    /// meanwhile has either all of it or an error. May be repeated; costs one request if there is nothing.
    async fn remove_objects(&self, owner: &ObjectOwner) -> Result<(), BusError>;

    /// Removes one object, if it is there, whoever made it.
    async fn remove_object(&self, name: &ObjectName) -> Result<(), BusError>;

    /// Everything in the bucket of objects by its owner. Reads the subjects of the whole bucket, and holds some hundred
    /// bytes for each object: for housekeeping, every now and then.
    async fn objects(&self) -> Result<Vec<OwnedObjects>, BusError>;

    /// Makes the process visible as a NATS service until the guard is dropped. Whoever looks is shown the report, as the
    /// data of the endpoint `state`, which answers with it too. Returns once the bus knows of it, if the bus answers.
    async fn announce(
        &self,
        name: &str,
        version: &str,
        description: &str,
        report: Report,
    ) -> Result<Service, BusError>;

    /// The processes of the namespace that are visible under this name: those that answer within half a second.
    async fn instances(&self, name: &str) -> Result<Vec<Instance>, BusError>;

    /// The fullest of what bounds the log and the work of agents; `None` if nothing does.
    async fn fill(&self) -> Result<Option<Fill>, BusError>;

    /// Bytes that a stream may take; `None` if nothing is said.
    async fn limit(&self, stream: Stream) -> Result<Option<u64>, BusError>;

    /// How the connection is. Does not wait for anything.
    fn connection(&self) -> Connection;

    /// What is before the consumers of a stream: those of shards for the log, those of agents for the tasks, none for others.
    /// Cheaper than [`Bus::health`]: for those who look again and again.
    async fn backlogs(&self, stream: Stream) -> Result<Vec<Backlog>, BusError>;

    /// How many messages of a stream are on subjects that pass a filter, which may have wildcards. Of a server that is
    /// behind, those that it knows. Counting a million takes the server some tenths of a second.
    async fn count(&self, stream: Stream, filter: &str) -> Result<u64, BusError>;

    /// How the bus and everything of the namespace on it is. Changes nothing, and also tells of a namespace that is
    /// not set up, or only in part.
    async fn health(&self) -> Result<Health, BusError>;
}
