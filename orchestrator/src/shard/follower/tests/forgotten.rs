//! Runs that were archived, and forgotten.

use super::*;

/// Whoever added an event to a history may have died before it removed the event.
#[tokio::test(start_paused = true)]
async fn what_is_archived_already_is_removed() {
    let mut desk = Desk::new(1_024).await;
    let one = run("1");
    desk.complete(one, "a").await;
    let late = desk.bus.at(Stream::Events, 1).await.expect("read").expect("an event");
    desk.archive(one, &[late]).await;
    while let Some(work) = desk.take().await {
        desk.work(work).await;
        if desk.bus.at(Stream::Events, 1).await.expect("read").is_none() {
            break;
        }
    }
    assert_eq!(desk.bus.at(Stream::Events, 1).await.expect("read"), None);
    assert!(desk.letters().await.is_empty());
}

impl Desk {
    /// A run that has ended and is in memory.
    async fn ended(&mut self, run: RunId) {
        self.start(run).await;
        self.settle().await;
        for task in ["a", "b", "c"] {
            self.complete(run, task).await;
        }
        while self.follower.cache.get(&run).is_none_or(|cached| cached.ended.is_none()) {
            self.settle().await;
        }
    }

    async fn archive(&self, run: RunId, events: &[StoredMessage]) {
        let workflow = Some("three".parse().expect("a name"));
        let subject = Subject::History { workflow, outcome: mesh_schemas::WorkflowVerb::Completed, run };
        let events: Vec<_> = events.iter().map(|event| (Stream::Events, event)).collect();
        for part in mesh_bus::History::default().missing(run, &events, 1_000_000) {
            let part = mesh_bus::history::archive(&*self.bus, &subject, &part);
            self.bus.publish(Publish::plain(part)).await.expect("stored");
        }
    }

    /// Removes all events of a run, which are these.
    async fn remove_all(&self, run: RunId) -> Vec<StoredMessage> {
        let events = self.bus.read_run(&run).await.expect("read").events;
        for stored in &events {
            self.bus.remove(Stream::Events, stored.sequence).await.expect("removed");
        }
        events
    }
}

/// Where the log is nearly full, a run is archived and forgotten as soon as it has ended.
#[tokio::test(start_paused = true)]
async fn what_comes_for_a_forgotten_run_is_not_judged_by_what_is_in_memory() {
    let mut desk = Desk::new(1).await;
    let one = run("1");
    desk.ended(one).await;
    let error = json!({"code": "late", "message": "too late", "retryable": false});
    desk.store(&format!("task.failed.work.normal.{one}.a.1"), json!({ "error": error })).await;
    desk.settle().await;
    assert!(desk.follower.cache.get(&one).is_some(), "it has ended and stands in the log");
    desk.remove_all(one).await;
    desk.store(&format!("task.failed.work.normal.{one}.b.1"), json!({ "error": error })).await;
    desk.settle().await;
    assert!(desk.follower.cache.get(&one).is_none(), "the log has nothing of it");
    desk.settle().await;
    assert_eq!(desk.letters().await, ["mesh.dead.events.unknown_run"], "nobody has archived it");
}

/// Whoever relays a request that comes again may store its beginning again, behind all that the run was.
#[tokio::test(start_paused = true)]
async fn a_forgotten_run_does_not_begin_again() {
    let mut desk = Desk::new(1).await;
    let one = run("1");
    desk.ended(one).await;
    let events = desk.remove_all(one).await;
    desk.archive(one, &events).await;
    let before = desk.bus.read_work(&one).await.expect("read").len();
    desk.start(one).await;
    desk.settle().await;
    assert!(desk.follower.cache.get(&one).is_none(), "its beginning does not say that it stands in the log");
    desk.settle().await;
    assert_eq!(desk.bus.read_run(&one).await.expect("read").events, []);
    assert_eq!(desk.bus.read_work(&one).await.expect("read").len(), before);
}

/// A run that is not in memory begins when its first event comes, unless the log may have filled up: then it may be one that was
/// archived and forgotten, and whose beginning was stored again.
#[tokio::test(start_paused = true)]
async fn where_the_log_has_filled_up_a_beginning_is_not_believed() {
    for percent in [74, 76] {
        let mut desk = Desk::filled(percent).await;
        let one = run("1");
        desk.start(one).await;
        let first = desk.bus.at(Stream::Events, 1).await.expect("read").expect("an event");
        desk.archive(one, &[first]).await;
        desk.settle().await;
        let begun = !desk.bus.read_work(&one).await.expect("read").is_empty();
        assert_eq!(begun, percent < 75, "{percent} %");
    }
}
