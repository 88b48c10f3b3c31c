use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use mesh_schemas::{Message, Namespace, ObjectName, ObjectOwner, RunId, Shards, StoredMessage};
use tokio::sync::OnceCell;

use super::api::Api;
use super::consumer::Existing;
use crate::bus::{
    Bus, Entry, Follow, From, OwnedObjects, Publish, Report, RunLog, Service, Stored, Subscription, Watch,
};
use crate::clock::BootInstant;
use crate::consume::{ConsumerSpec, Deliveries, Flow};
use crate::error::{BusError, PublishError};
use crate::health::{Backlog, Connection, Fill, Health, Instance};
use crate::topology::{Bucket, Stream, Topology};

/// The bus on NATS JetStream: one connection, in one namespace.
#[derive(Debug)]
pub struct NatsBus {
    pub(super) api: Api,
    pub(super) namespace: Namespace,
    pub(super) shards: OnceCell<Shards>,
    pub(super) max_inline: usize,
}

#[async_trait]
impl Bus for NatsBus {
    fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn max_inline(&self) -> usize {
        self.max_inline
    }

    async fn shards(&self) -> Result<Shards, BusError> {
        self.shards.get_or_try_init(|| self.read_shards()).await.copied()
    }

    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn moment(&self) -> BootInstant {
        BootInstant::now()
    }

    async fn set_up(&self, topology: &Topology) -> Result<(), BusError> {
        self.make_namespace(topology).await
    }

    async fn publish(&self, publish: Publish) -> Result<Stored, PublishError> {
        let subject = publish.message.subject.clone();
        self.store(publish).await.map_err(|failed| failed.for_publisher(&subject))
    }

    async fn notify(&self, message: Message) -> Result<(), BusError> {
        self.send(message).await
    }

    async fn subscribe(&self, filter: &str) -> Result<Subscription, BusError> {
        self.listen(filter).await
    }

    async fn unschedule(&self, subject: &str) -> Result<(), BusError> {
        self.cancel_schedule(subject).await
    }

    async fn consume(&self, spec: &ConsumerSpec, flow: Flow) -> Result<Box<dyn Deliveries>, BusError> {
        self.receive(spec, flow).await
    }

    async fn ensure_consumer(&self, spec: &ConsumerSpec) -> Result<(), BusError> {
        self.ensure(spec, Existing::Keep).await.map(drop)
    }

    async fn delivered(&self, spec: &ConsumerSpec) -> Result<u64, BusError> {
        self.last_delivered(spec).await
    }

    async fn settled(&self, spec: &ConsumerSpec) -> Result<u64, BusError> {
        self.last_settled(spec).await
    }

    async fn read_run(&self, run: &RunId) -> Result<RunLog, BusError> {
        self.events_of(run).await
    }

    async fn read_short_run(&self, run: &RunId, at_most: usize) -> Result<Option<RunLog>, BusError> {
        self.short_run(run, at_most).await
    }

    async fn read_run_after(&self, run: &RunId, after: u64) -> Result<RunLog, BusError> {
        self.events_after(run, after).await
    }

    async fn read_run_itself(&self, run: &RunId) -> Result<RunLog, BusError> {
        self.events_of_itself(run).await
    }

    async fn list_subjects(&self, stream: Stream, filter: &str) -> Result<BTreeSet<String>, BusError> {
        self.subjects_on(stream, filter).await
    }

    async fn read_work(&self, run: &RunId) -> Result<Vec<StoredMessage>, BusError> {
        self.work_of(run).await
    }

    async fn read_history(&self, run: &RunId) -> Result<Vec<StoredMessage>, BusError> {
        self.history_of(run).await
    }

    async fn follow(&self, stream: Stream, filters: Vec<String>, from: From) -> Result<Follow, BusError> {
        self.read_along(stream, filters, from).await
    }

    async fn last(&self, stream: Stream, subject: &str) -> Result<Option<StoredMessage>, BusError> {
        let operation = format!("read the last message on {subject}");
        self.last_on(&stream.name(&self.namespace), subject, &operation).await
    }

    async fn last_on_each(&self, stream: Stream, filters: &[String]) -> Result<Vec<StoredMessage>, BusError> {
        self.each_last(stream, filters).await
    }

    async fn at(&self, stream: Stream, sequence: u64) -> Result<Option<StoredMessage>, BusError> {
        self.message_at(&stream.name(&self.namespace), sequence).await
    }

    async fn remove(&self, stream: Stream, sequence: u64) -> Result<bool, BusError> {
        self.remove_message(&stream.name(&self.namespace), sequence).await
    }

    async fn get(&self, bucket: Bucket, key: &str) -> Result<Option<Entry>, BusError> {
        self.get_key(bucket, key).await
    }

    async fn put(
        &self,
        bucket: Bucket,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<u64, BusError> {
        self.put_key(bucket, key, value, ttl).await
    }

    async fn delete(&self, bucket: Bucket, key: &str) -> Result<(), BusError> {
        self.delete_key(bucket, key).await
    }

    async fn entries(&self, bucket: Bucket) -> Result<Vec<Entry>, BusError> {
        self.all_entries(bucket).await
    }

    async fn watch(&self, bucket: Bucket) -> Result<Watch, BusError> {
        self.watch_bucket(bucket).await
    }

    async fn put_object(&self, owner: &ObjectOwner, content: Bytes) -> Result<ObjectName, BusError> {
        self.store_object(owner, content).await
    }

    async fn object(&self, name: &ObjectName) -> Result<Option<Bytes>, BusError> {
        self.read_object(name).await
    }

    async fn remove_notes(&self, run: &RunId) -> Result<(), BusError> {
        self.forget_notes(run).await
    }

    async fn remove_objects(&self, owner: &ObjectOwner) -> Result<(), BusError> {
        self.forget_owner(owner).await
    }

    async fn remove_object(&self, name: &ObjectName) -> Result<(), BusError> {
        self.forget_object(name).await
    }

    async fn objects(&self) -> Result<Vec<OwnedObjects>, BusError> {
        self.list_objects().await
    }

    async fn announce(
        &self,
        name: &str,
        version: &str,
        description: &str,
        report: Report,
    ) -> Result<Service, BusError> {
        self.start_service(name, version, description, report).await
    }

    async fn instances(&self, name: &str) -> Result<Vec<Instance>, BusError> {
        self.running_instances(name).await
    }

    async fn fill(&self) -> Result<Option<Fill>, BusError> {
        self.fullest().await
    }

    async fn limit(&self, stream: Stream) -> Result<Option<u64>, BusError> {
        self.limit_of(stream).await
    }

    fn connection(&self) -> Connection {
        self.api.connection()
    }

    async fn backlogs(&self, stream: Stream) -> Result<Vec<Backlog>, BusError> {
        self.look_before(stream).await
    }

    async fn count(&self, stream: Stream, filter: &str) -> Result<u64, BusError> {
        self.messages_on(stream, filter).await
    }

    async fn health(&self) -> Result<Health, BusError> {
        self.look_at_everything().await
    }
}
