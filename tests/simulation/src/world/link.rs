//! The bus as a party sees it: with everything that may go wrong between a process and its server.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use mesh_bus::topology::{Bucket, Stream, Topology};
use mesh_bus::{
    Backlog, BootInstant, Bus, BusError, Connection, ConsumerSpec, Deliveries, Entry, Fill, Flow, Follow,
    From, Health, Instance, OwnedObjects, Publish, PublishError, Report, RunLog, Service, Stored,
    Subscription, Watch,
};
use mesh_schemas::{Message, Namespace, ObjectName, ObjectOwner, RunId, Shards, StoredMessage};
use tokio::time::sleep;

use super::doubles;
use super::dropped;
use super::party::{Kind, Party};
use super::reads;
use super::receiver::Receiver;
use crate::sabotage::Sabotage;

/// How long a call without an answer takes.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// A party's connection to the bus.
pub(super) struct Link(pub(super) Arc<Party>);

impl Link {
    fn party(&self) -> &Party {
        &self.0
    }

    /// Comes before a read: it may fail.
    async fn read(&self, operation: &str) -> Result<(), BusError> {
        self.party().step().await;
        if self.party().happens(self.party().world.storm.unread) {
            let error = "no answer".to_owned();
            return Err(BusError::Unavailable { operation: operation.to_owned(), error });
        }
        Ok(())
    }

    /// Stores a message, and lets the observer see it as soon as it stands there.
    pub(super) async fn store(party: &Party, publish: Publish) -> Result<Stored, PublishError> {
        let once = publish.once && party.world.sabotage != Some(Sabotage::FactsRepeat);
        let message = publish.message.clone();
        let stored = party.bus.publish(Publish { once, ..publish }).await;
        if let Ok(Stored::Now(sequence)) = stored {
            let time = party.bus.now();
            // What a run came to may be contradicted, too.
            let is_made = party.kind == Kind::Agent
                || party.kind == Kind::Orchestrator && dropped::is_completed(party, &message);
            if is_made && party.happens(party.world.storm.contradicted) {
                doubles::contradict(party, &message);
            }
            let stored = StoredMessage { message, sequence, time };
            // With what it refers to, as whoever reads it has it.
            let whole = mesh_bus::whole(&*party.world.server.connect(), stored.clone()).await;
            party.world.observe(|observer| observer.stored(whole.unwrap_or(stored)));
        }
        stored
    }

    /// Removes a message, and lets the observer see what that was.
    async fn take_away(party: &Party, stream: Stream, sequence: u64) -> Result<bool, BusError> {
        let found = party.bus.at(stream, sequence).await?;
        let removed = party.bus.remove(stream, sequence).await?;
        if let (Some(found), true) = (found, removed) {
            party.world.observe(|observer| observer.removed(stream, &found));
        }
        Ok(removed)
    }

    /// Removes a message long after that was given up, wherever whoever asked for it is by then.
    fn remove_late(&self, stream: Stream, sequence: u64) {
        let world = Arc::clone(&self.0.world);
        let delay = self.party().while_below(20_000);
        tokio::spawn(async move {
            sleep(delay).await;
            let sender = Party::new(&world, Kind::Client, 0);
            let _ = Self::take_away(&sender, stream, sequence).await;
        });
    }

    /// Stores a message long after its publisher has given up waiting, wherever that is by then.
    fn store_late(&self, publish: Publish) {
        let party = Arc::clone(&self.0);
        let world = Arc::clone(&party.world);
        let delay = party.while_below(20_000);
        tokio::spawn(async move {
            sleep(delay).await;
            // It was on its way: what became of its sender does not matter.
            let sender = Party::new(&world, Kind::Client, 0);
            let _ = Self::store(&sender, publish).await;
        });
    }
}

#[async_trait]
impl Bus for Link {
    fn namespace(&self) -> &Namespace {
        self.party().bus.namespace()
    }

    fn max_inline(&self) -> usize {
        self.party().bus.max_inline()
    }

    async fn shards(&self) -> Result<Shards, BusError> {
        self.read("read the number of shards").await?;
        self.party().bus.shards().await
    }

    fn now(&self) -> DateTime<Utc> {
        self.party().now()
    }

    fn moment(&self) -> BootInstant {
        self.party().bus.moment()
    }

    async fn set_up(&self, topology: &Topology) -> Result<(), BusError> {
        self.read("set up").await?;
        self.party().bus.set_up(topology).await
    }

    async fn publish(&self, publish: Publish) -> Result<Stored, PublishError> {
        let (party, storm) = (self.party(), &self.party().world.storm);
        party.step().await;
        if let Some(sequence) = dropped::taken_for_stored(party, &publish) {
            return Ok(Stored::Now(sequence));
        }
        if party.happens(storm.refused) {
            return Err(PublishError::Retry("the server is busy".to_owned()));
        }
        if party.happens(storm.late) {
            self.store_late(publish);
            sleep(TIME_LIMIT).await;
            return Err(PublishError::Retry("no answer".to_owned()));
        }
        let stored = Self::store(party, publish).await?;
        party.step().await;
        if party.happens(storm.unanswered) {
            sleep(TIME_LIMIT).await;
            return Err(PublishError::Retry("no answer".to_owned()));
        }
        Ok(stored)
    }

    async fn notify(&self, message: Message) -> Result<(), BusError> {
        // Nobody waits for it.
        self.party().is_up().await;
        self.party().bus.notify(message).await
    }

    async fn subscribe(&self, filter: &str) -> Result<Subscription, BusError> {
        self.read("subscribe").await?;
        self.party().bus.subscribe(filter).await
    }

    async fn unschedule(&self, subject: &str) -> Result<(), BusError> {
        self.party().step().await;
        if self.party().happens(self.party().world.storm.unanswered) {
            return Ok(());
        }
        self.party().bus.unschedule(subject).await
    }

    async fn consume(&self, spec: &ConsumerSpec, flow: Flow) -> Result<Box<dyn Deliveries>, BusError> {
        self.read("consume").await?;
        let inner = self.party().bus.consume(spec, flow).await?;
        Ok(Box::new(Receiver::new(Arc::clone(&self.0), inner, flow)))
    }

    async fn ensure_consumer(&self, spec: &ConsumerSpec) -> Result<(), BusError> {
        self.read("make a consumer").await?;
        self.party().bus.ensure_consumer(spec).await
    }

    async fn delivered(&self, spec: &ConsumerSpec) -> Result<u64, BusError> {
        self.read("look at a consumer").await?;
        self.party().bus.delivered(spec).await
    }

    async fn settled(&self, spec: &ConsumerSpec) -> Result<u64, BusError> {
        self.read("look at a consumer").await?;
        if self.party().world.sabotage == Some(Sabotage::NoSettling) {
            let newest = self.party().bus.last(spec.stream, ">").await?;
            return Ok(newest.map_or(0, |newest| newest.sequence));
        }
        self.party().bus.settled(spec).await
    }

    async fn read_work(&self, run: &RunId) -> Result<Vec<StoredMessage>, BusError> {
        self.read("read the work of a run").await?;
        let work = self.party().bus.read_work(run).await?;
        self.party().step().await;
        Ok(work)
    }

    async fn read_history(&self, run: &RunId) -> Result<Vec<StoredMessage>, BusError> {
        self.read("read a history").await?;
        let history = self.party().bus.read_history(run).await?;
        self.party().step().await;
        Ok(history)
    }

    async fn remove(&self, stream: Stream, sequence: u64) -> Result<bool, BusError> {
        let (party, storm) = (self.party(), &self.party().world.storm);
        let no_answer = |error: &str| BusError::Unavailable {
            operation: "remove a message".to_owned(),
            error: error.to_owned(),
        };
        party.step().await;
        if party.happens(storm.refused) {
            return Err(no_answer("the server is busy"));
        }
        if party.happens(storm.late) {
            self.remove_late(stream, sequence);
            sleep(TIME_LIMIT).await;
            return Err(no_answer("no answer"));
        }
        let removed = Self::take_away(party, stream, sequence).await?;
        party.step().await;
        if party.happens(storm.unanswered) {
            sleep(TIME_LIMIT).await;
            return Err(no_answer("no answer"));
        }
        Ok(removed)
    }

    async fn read_run(&self, run: &RunId) -> Result<RunLog, BusError> {
        self.read("read a run").await?;
        let log = self.party().bus.read_run(run).await?;
        self.party().step().await;
        Ok(reads::run(self.party(), log))
    }

    async fn read_short_run(&self, run: &RunId, at_most: usize) -> Result<Option<RunLog>, BusError> {
        self.read("read a short run").await?;
        let log = self.party().bus.read_short_run(run, at_most).await?;
        self.party().step().await;
        Ok(log.map(|log| reads::run(self.party(), log)))
    }

    async fn read_run_after(&self, run: &RunId, after: u64) -> Result<RunLog, BusError> {
        self.read("read the rest of a run").await?;
        let mut log = self.party().bus.read_run_after(run, after).await?;
        if self.party().world.sabotage == Some(Sabotage::GapBehindCheckpoint) && !log.events.is_empty() {
            log.events.remove(0);
        }
        self.party().step().await;
        Ok(reads::run(self.party(), log))
    }

    async fn read_run_itself(&self, run: &RunId) -> Result<RunLog, BusError> {
        self.read("read of a run").await?;
        let log = self.party().bus.read_run_itself(run).await?;
        self.party().step().await;
        Ok(reads::run(self.party(), log))
    }

    async fn list_subjects(&self, stream: Stream, filter: &str) -> Result<BTreeSet<String>, BusError> {
        self.read("read subjects").await?;
        self.party().bus.list_subjects(stream, filter).await
    }

    async fn follow(&self, stream: Stream, filters: Vec<String>, from: From) -> Result<Follow, BusError> {
        self.read("follow").await?;
        self.party().bus.follow(stream, filters, from).await
    }

    async fn last(&self, stream: Stream, subject: &str) -> Result<Option<StoredMessage>, BusError> {
        self.read("read a subject").await?;
        let last = self.party().bus.last(stream, subject).await?;
        Ok(reads::last(self.party(), subject, last))
    }

    async fn last_on_each(&self, stream: Stream, filters: &[String]) -> Result<Vec<StoredMessage>, BusError> {
        self.read("read subjects").await?;
        self.party().bus.last_on_each(stream, filters).await
    }

    async fn at(&self, stream: Stream, sequence: u64) -> Result<Option<StoredMessage>, BusError> {
        self.read("read a message").await?;
        self.party().bus.at(stream, sequence).await
    }

    async fn get(&self, bucket: Bucket, key: &str) -> Result<Option<Entry>, BusError> {
        self.read("get a key").await?;
        self.party().bus.get(bucket, key).await
    }

    /// Only agents put, into the registry, on which nothing depends. So that they need not be played through for hours,
    /// heartbeats end with the first.
    async fn put(&self, _: Bucket, _: &str, _: Bytes, _: Option<Duration>) -> Result<u64, BusError> {
        std::future::pending().await
    }

    async fn delete(&self, bucket: Bucket, key: &str) -> Result<(), BusError> {
        self.read("delete a key").await?;
        self.party().bus.delete(bucket, key).await
    }

    async fn entries(&self, bucket: Bucket) -> Result<Vec<Entry>, BusError> {
        self.read("read a bucket").await?;
        self.party().bus.entries(bucket).await
    }

    async fn watch(&self, bucket: Bucket) -> Result<Watch, BusError> {
        self.read("watch a bucket").await?;
        self.party().bus.watch(bucket).await
    }

    async fn put_object(&self, owner: &ObjectOwner, content: Bytes) -> Result<ObjectName, BusError> {
        self.read("store an object").await?;
        let put = self.party().bus.put_object(owner, content).await?;
        // It may be stored without its writer hearing of it.
        self.read("store an object").await?;
        Ok(put)
    }

    async fn object(&self, name: &ObjectName) -> Result<Option<Bytes>, BusError> {
        self.read("read an object").await?;
        self.party().bus.object(name).await
    }

    async fn remove_notes(&self, run: &RunId) -> Result<(), BusError> {
        self.read("remove notes").await?;
        self.party().bus.remove_notes(run).await
    }

    async fn remove_objects(&self, owner: &ObjectOwner) -> Result<(), BusError> {
        self.read("remove objects").await?;
        self.party().bus.remove_objects(owner).await
    }

    async fn remove_object(&self, name: &ObjectName) -> Result<(), BusError> {
        self.read("remove an object").await?;
        self.party().bus.remove_object(name).await
    }

    async fn objects(&self) -> Result<Vec<OwnedObjects>, BusError> {
        self.read("list objects").await?;
        self.party().bus.objects().await
    }

    async fn announce(
        &self,
        name: &str,
        version: &str,
        description: &str,
        report: Report,
    ) -> Result<Service, BusError> {
        self.read("announce").await?;
        self.party().bus.announce(name, version, description, report).await
    }

    async fn instances(&self, name: &str) -> Result<Vec<Instance>, BusError> {
        self.read("ask who is there").await?;
        self.party().bus.instances(name).await
    }

    /// Nothing goes wrong with it, as it is asked for all the time and decides nothing that must be right.
    async fn fill(&self) -> Result<Option<Fill>, BusError> {
        self.party().is_up().await;
        self.party().bus.fill().await
    }

    async fn limit(&self, stream: Stream) -> Result<Option<u64>, BusError> {
        self.read("look at a stream").await?;
        self.party().bus.limit(stream).await
    }

    fn connection(&self) -> Connection {
        self.party().bus.connection()
    }

    async fn backlogs(&self, stream: Stream) -> Result<Vec<Backlog>, BusError> {
        self.read("look before consumers").await?;
        self.party().bus.backlogs(stream).await
    }

    async fn count(&self, stream: Stream, filter: &str) -> Result<u64, BusError> {
        self.read("count messages").await?;
        self.party().bus.count(stream, filter).await
    }

    async fn health(&self) -> Result<Health, BusError> {
        self.read("look at everything").await?;
        self.party().bus.health().await
    }
}
