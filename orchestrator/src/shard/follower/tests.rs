mod checkpoints;
mod deadlines;
mod forgotten;

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures::StreamExt as _;
use mesh_bus::memory::MemoryServer;
use mesh_bus::topology::{SHARD_MAX_ACK_PENDING, Stream, Topology, shard_consumer};
use mesh_bus::{Bus, Deliveries, Fill, Flow, Publish, Share};
use mesh_core::Run;
use mesh_schemas::document::Format;
use mesh_schemas::{Digest, Headers, Message, Namespace, RequestId, Shards};
use serde_json::{Value, json};

use super::leave::MOST_LEFT;
use super::*;
use crate::definitions;

/// Its deadline is so near that it is set at once.
const THREE: &str =
    "{mesh: v1, name: three, timeout: 5s, tasks: {a: {agent: work}, b: {agent: work}, c: {agent: work}}}";

/// A follower of the only shard that keeps a single run in memory, and what it is shown.
struct Desk {
    server: MemoryServer,
    bus: Arc<dyn Bus>,
    /// What is started.
    workflow: &'static str,
    digest: Digest,
    deliveries: Box<dyn Deliveries>,
    follower: Follower,
    /// Runs as they were folded, with how far they had read.
    folded: Arc<Mutex<Vec<(RunId, u64)>>>,
    runs: Arc<Mutex<Vec<Run>>>,
}

impl Desk {
    async fn new(checkpoint_after: usize) -> Self {
        Self::keeping(Memory { runs: 1, bytes: usize::MAX }, checkpoint_after).await
    }

    async fn keeping(memory: Memory, checkpoint_after: usize) -> Self {
        Self::with(memory, checkpoint_after, None).await
    }

    /// Where the log is that full, in hundredths.
    async fn filled(percent: u64) -> Self {
        let share = Share { used: percent, limit: Some(100) };
        let fill = Fill { what: "the log".to_owned(), share };
        Self::with(Memory { runs: 1, bytes: usize::MAX }, usize::MAX, Some(&fill)).await
    }

    async fn with(memory: Memory, checkpoint_after: usize, fill: Option<&Fill>) -> Self {
        let server = MemoryServer::new(Namespace::default());
        let bus: Arc<dyn Bus> = server.connect();
        let shards = Shards::new(1).expect("one shard");
        bus.set_up(&Topology { shards, ..Topology::default() }).await.expect("set up");
        let definition = definitions::check(THREE, Format::Yaml).expect("a definition");
        definitions::apply(&*bus, &definition).await.expect("applied");
        let folded = Arc::new(Mutex::new(Vec::new()));
        let runs = Arc::new(Mutex::new(Vec::new()));
        let (seen, kept) = (Arc::clone(&folded), Arc::clone(&runs));
        let shared = Shared {
            folded: Arc::new(move |run, upto| {
                seen.lock().unwrap_or_else(PoisonError::into_inner).push((run.header.run, upto));
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(run.clone());
            }),
            checkpoint_after,
            ..Shared::of(&bus, fill)
        };
        let consumer = shard_consumer(bus.namespace(), 0);
        let deliveries = bus
            .consume(&consumer, Flow::Continuous(SHARD_MAX_ACK_PENDING as usize))
            .await
            .expect("a receiver");
        let follower = Follower::new(Arc::new(shared), 0, consumer, memory);
        let (workflow, digest) = ("three", definition.digest());
        Self { server, bus, workflow, digest, deliveries, follower, folded, runs }
    }

    /// Stores an event of a run.
    async fn store(&self, subject: &str, data: Value) {
        let subject = format!("{}.{subject}", self.bus.namespace());
        let message = Message { subject, headers: Headers::new(), payload: Bytes::from(data.to_string()) };
        self.bus.publish(Publish::once(message)).await.expect("stored");
    }

    async fn start(&self, run: RunId) {
        let request = json!({"source": "test", "id": "1"});
        let data = json!({"digest": self.digest, "rules": 1, "input": {}, "request": request});
        self.store(&format!("workflow.started.{}.-.{run}", self.workflow), data).await;
    }

    async fn complete(&self, run: RunId, task: &str) {
        self.complete_with(run, task, json!(1)).await;
    }

    async fn complete_with(&self, run: RunId, task: &str, output: Value) {
        self.store(&format!("task.completed.work.normal.{run}.{task}.1"), json!({"output": output})).await;
    }

    /// Takes the next event and does what follows from it, and what follows from that.
    async fn settle(&mut self) {
        let work = self.take().await.expect("work");
        self.work(work).await;
    }

    async fn work(&mut self, work: Work) {
        let mut todo = vec![work];
        while let Some(work) = todo.pop() {
            let settled = work.await;
            todo.extend(self.follower.settled(settled));
        }
    }

    /// Takes the next event.
    async fn take(&mut self) -> Option<Work> {
        let delivery = self.deliveries.next().await.expect("a delivery");
        self.follower.take(delivery).await
    }

    /// The subjects of the dead letters.
    async fn letters(&self) -> Vec<String> {
        let all = vec![format!("{}.dead.>", self.bus.namespace())];
        let letters = self.bus.follow(Stream::Dead, all, mesh_bus::From::Begin).await.expect("a stream");
        let present = letters.take_while(|letter| std::future::ready(!matches!(letter, Ok(None))));
        present.filter_map(async |letter| Some(letter.ok()??.message.subject)).collect().await
    }

    fn last_folded(&self) -> (RunId, u64) {
        *self.folded.lock().unwrap_or_else(PoisonError::into_inner).last().expect("a run")
    }
}

fn run(id: &str) -> RunId {
    let request = RequestId { source: "test".to_owned(), id: id.to_owned() };
    RunId::for_request("workflow.three", &request, Shards::new(1).expect("one shard"))
}

/// Two runs that have begun, of which the first was evicted by the other.
async fn two_runs() -> (Desk, RunId, RunId) {
    let mut desk = Desk::new(1_024).await;
    let (one, other) = (run("1"), run("2"));
    for run in [one, other] {
        desk.start(run).await;
        desk.settle().await;
    }
    (desk, one, other)
}

/// What was folded into a run before it was evicted must be in what is read of it later, whichever server answers.
#[tokio::test(start_paused = true)]
async fn a_run_is_not_read_from_a_server_that_lacks_what_was_folded() {
    let mut desk = Desk::new(1_024).await;
    let (one, other) = (run("1"), run("2"));
    desk.start(one).await;
    desk.settle().await;
    // What follows from the event is not done, so the event will come again.
    desk.complete(one, "a").await;
    drop(desk.take().await.expect("work"));
    desk.complete(one, "b").await;
    desk.settle().await;
    assert_eq!(desk.last_folded(), (one, 3));
    desk.start(other).await;
    desk.settle().await;
    // The event comes again, and is the last that the server knows of.
    desk.server.fall_behind(Some(2));
    let delivery = desk.deliveries.next().await.expect("a delivery");
    assert_eq!((delivery.stored.sequence, delivery.delivered), (2, 2));
    let mut load = desk.follower.take(delivery).await.expect("the run is read");
    let believed = tokio::time::timeout(SHARD_ACK_WAIT / 2, &mut load).await;
    assert!(believed.is_err(), "the server that is behind was believed");
    desk.server.fall_behind(None);
    desk.work(load).await;
    assert_eq!(desk.last_folded(), (one, 4));
}

/// A run that is read for long keeps nobody waiting but its own events, which follow in their order.
#[tokio::test(start_paused = true)]
async fn other_runs_go_on_while_one_is_read() {
    let (mut desk, one, other) = two_runs().await;
    // Nothing is read until somebody works at it.
    desk.complete(one, "a").await;
    let load = desk.take().await.expect("the run is read");
    desk.complete(one, "b").await;
    desk.complete(one, "c").await;
    assert!(desk.take().await.is_none() && desk.take().await.is_none(), "they wait for their run");
    desk.complete(other, "a").await;
    desk.settle().await;
    assert_eq!(desk.last_folded(), (other, 6));
    // What waits is ours for as long as it takes.
    for _ in 0..9 {
        tokio::time::sleep(SHARD_ACK_WAIT / 3).await;
        desk.follower.renew_waiting().await;
    }
    assert!(desk.follower.has_waiting());
    drop(load);
}

#[tokio::test(start_paused = true)]
async fn events_that_waited_for_their_run_are_settled_with_it() {
    let (mut desk, one, _) = two_runs().await;
    desk.complete(one, "a").await;
    let load = desk.take().await.expect("the run is read");
    for task in ["b", "c"] {
        desk.complete(one, task).await;
        assert!(desk.take().await.is_none());
    }
    desk.work(load).await;
    assert_eq!(desk.last_folded(), (one, 5));
    let end = format!("mesh.workflow.completed.three.-.{one}");
    assert!(desk.bus.last(Stream::Events, &end).await.expect("read").is_some());
    assert!(!desk.follower.has_waiting());
    // All are acknowledged: the next is the run's end.
    let delivery = desk.deliveries.next().await.expect("a delivery");
    assert_eq!((delivery.stored.message.subject, delivery.delivered), (end, 1));
}

/// Its definition has to be read first; what follows from its beginning is stored all the same, whatever the log has
/// behind that already.
#[tokio::test(start_paused = true)]
async fn a_run_begins_with_its_first_event_alone() {
    let mut desk = Desk::new(1_024).await;
    let one = run("1");
    desk.start(one).await;
    desk.store(&format!("workflow.signalled.three.-.{one}.cancel.c1"), json!({})).await;
    desk.settle().await;
    assert_eq!(desk.last_folded(), (one, 1));
    let tasks = format!("mesh.task.created.*.*.{one}.>");
    assert_eq!(desk.bus.list_subjects(Stream::Tasks, &tasks).await.expect("read").len(), 3);
}

/// What was late for many reasons is read once, and not once for each of it.
#[tokio::test(start_paused = true)]
async fn late_events_that_are_read_with_their_run_are_settled_with_it() {
    let mut desk = Desk::new(1_024).await;
    let one = run("1");
    desk.start(one).await;
    desk.settle().await;
    for task in ["a", "b", "c"] {
        desk.complete(one, task).await;
        desk.settle().await;
    }
    desk.settle().await;
    tokio::time::advance(Duration::from_secs(60)).await;
    let error = json!({"code": "late", "message": "too late", "retryable": false});
    for task in ["a", "b", "c"] {
        desk.store(&format!("task.failed.work.normal.{one}.{task}.1"), json!({ "error": error })).await;
    }
    let before = desk.runs.lock().unwrap_or_else(PoisonError::into_inner).len();
    let load = desk.take().await.expect("the run is read");
    for _ in 0..2 {
        assert!(desk.take().await.is_none(), "it waits");
    }
    desk.work(load).await;
    assert_eq!(desk.runs.lock().unwrap_or_else(PoisonError::into_inner).len(), before + 1);
    assert!(!desk.follower.has_waiting());
}

/// One that was on its way when its run was forgotten is all that there is of the run; one that a newer one replaced is gone.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_of_a_forgotten_run_is_removed() {
    let mut desk = Desk::new(1_024).await;
    let one = run("1");
    for is_there in [true, false] {
        desk.store(&format!("workflow.checkpointed.three.-.{one}.{}", u64::from(is_there)), json!({})).await;
        let last =
            desk.bus.last(Stream::Events, "mesh.workflow.checkpointed.>").await.expect("read").expect("it");
        let work = desk.take().await.expect("work");
        if !is_there {
            desk.bus.remove(Stream::Events, last.sequence).await.expect("removed");
        }
        desk.work(work).await;
        assert_eq!(desk.bus.at(Stream::Events, last.sequence).await.expect("read"), None);
    }
}

/// Large runs make room for each other, and the one at hand is kept, however large.
#[tokio::test(start_paused = true)]
async fn runs_are_kept_as_far_as_their_bytes_go() {
    let mut desk = Desk::keeping(Memory { runs: 100, bytes: 10_000 }, 1_024).await;
    let (one, other) = (run("1"), run("2"));
    for run in [one, other] {
        desk.start(run).await;
        desk.settle().await;
    }
    assert!(desk.follower.cache.get(&one).is_some(), "small ones are kept beside each other");
    desk.complete_with(other, "a", json!("x".repeat(20_000))).await;
    desk.settle().await;
    assert!(desk.follower.cache.get(&one).is_none() && desk.follower.cache.get(&other).is_some());
    // It is read again, and takes the place of the other.
    desk.complete(one, "a").await;
    desk.settle().await;
    assert_eq!(desk.last_folded(), (one, 4));
    assert!(desk.follower.cache.get(&one).is_some() && desk.follower.cache.get(&other).is_none());
    desk.follower.forget_all();
    for run in [other, one] {
        desk.complete(run, "b").await;
        desk.settle().await;
    }
    assert!(desk.follower.cache.get(&one).is_some() && desk.follower.cache.get(&other).is_none());
}

/// What an older mesh does not understand is left to others, and put aside when nobody took it in a day; nothing else
/// of the run is decided without it.
#[tokio::test(start_paused = true)]
async fn an_event_of_a_newer_schema_is_left_to_others_for_a_day() {
    let mut desk = Desk::new(1_024).await;
    let run = run("1");
    desk.start(run).await;
    desk.settle().await;
    let envelope = json!({
        "specversion": "1.0",
        "id": "1",
        "source": "/newer",
        "type": "task.completed",
        "dataschema": "urn:mesh:schema:task.completed:2",
        "data": {"result": 1},
    });
    desk.store(&format!("task.completed.work.normal.{run}.a.1"), envelope).await;
    desk.settle().await;
    desk.complete(run, "b").await;
    desk.settle().await;
    assert_eq!(desk.last_folded(), (run, 1), "nothing is folded over the gap");
    assert!(desk.letters().await.is_empty());
    tokio::time::advance(Duration::from_secs(24 * 60 * 60)).await;
    while desk.letters().await.len() < 2 {
        desk.settle().await;
    }
    assert_eq!(desk.letters().await, ["mesh.dead.events.newer"; 2]);
}

/// Half of what a shard may have in hand remains for runs that are understood.
#[tokio::test(start_paused = true)]
async fn not_everything_in_hand_is_left_to_others() {
    let mut desk = Desk::new(1_024).await;
    for number in 0..=MOST_LEFT {
        let data =
            json!({"digest": desk.digest, "rules": 2, "input": {}, "request": {"source": "t", "id": "1"}});
        desk.store(&format!("workflow.started.three.-.{}", run(&number.to_string())), data).await;
        desk.settle().await;
        assert_eq!(desk.letters().await.len(), usize::from(number == MOST_LEFT), "after {number}");
    }
}
