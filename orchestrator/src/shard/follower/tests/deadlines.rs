//! Deadlines that are far off.

use futures::stream::FuturesUnordered;

use super::*;

const LONG: &str = "{mesh: v1, name: long, tasks: {a: {agent: work}, b: {agent: work}}}";

impl Desk {
    /// One whose runs may take as long as runs may by default.
    async fn of_long_runs() -> Self {
        let mut desk = Self::keeping(Memory { runs: 100, bytes: usize::MAX }, 1).await;
        let definition = definitions::check(LONG, Format::Yaml).expect("a definition");
        definitions::apply(&*desk.bus, &definition).await.expect("applied");
        (desk.workflow, desk.digest) = ("long", definition.digest());
        desk
    }

    /// The runs whose deadlines are set.
    async fn deadlines(&self) -> Vec<String> {
        let all = "mesh.timer.set.>";
        let set = self.bus.list_subjects(Stream::Inbox, all).await.expect("read");
        set.into_iter().collect()
    }

    /// The last event up to which all is acknowledged.
    async fn settled(&self) -> u64 {
        self.bus.settled(&self.follower.consumer).await.expect("read")
    }

    /// Sets what is due.
    async fn set_deadlines(&mut self) {
        assert!(self.follower.has_put_off());
        tokio::time::sleep(deadline::PUT_OFF_FOR).await;
        for work in self.follower.set_deadlines() {
            self.work(work).await;
        }
    }
}

fn deadline_of(run: RunId) -> String {
    format!("mesh.timer.set.-.-.{run}.deadline")
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_soon_sets_none() {
    let mut desk = Desk::of_long_runs().await;
    let one = run("1");
    desk.start(one).await;
    desk.settle().await;
    for task in ["a", "b"] {
        desk.complete(one, task).await;
        desk.settle().await;
    }
    let end = format!("mesh.workflow.completed.long.-.{one}");
    assert!(desk.bus.last(Stream::Events, &end).await.expect("read").is_some());
    assert!(desk.deadlines().await.is_empty());
    assert_eq!(desk.settled().await, 3, "its beginning is acknowledged with its end: it does not come again");
    desk.follower.finish(&mut FuturesUnordered::new()).await;
    assert!(desk.deadlines().await.is_empty(), "nothing is put off any more");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_goes_on_sets_it_after_a_while() {
    let mut desk = Desk::of_long_runs().await;
    let one = run("1");
    desk.start(one).await;
    desk.settle().await;
    desk.complete(one, "a").await;
    desk.settle().await;
    assert!(desk.deadlines().await.is_empty());
    assert_eq!(desk.settled().await, 0, "its beginning is in hand");
    desk.set_deadlines().await;
    assert_eq!(desk.deadlines().await, [deadline_of(one)]);
    assert_eq!(desk.settled().await, 2);
}

/// Whoever takes a shard over has its beginnings again, and sets what nobody has set.
#[tokio::test(start_paused = true)]
async fn what_is_put_off_outlives_who_put_it_off() {
    let mut desk = Desk::of_long_runs().await;
    let one = run("1");
    desk.start(one).await;
    desk.settle().await;
    desk.follower.forget_all();
    assert!(!desk.follower.has_put_off());
    tokio::time::sleep(SHARD_ACK_WAIT).await;
    // It is read, and all is stored that may be missing.
    desk.settle().await;
    assert_eq!(desk.deadlines().await, [deadline_of(one)]);
}

/// Also of a run whose first tasks are just being stored.
#[tokio::test(start_paused = true)]
async fn who_lets_go_of_a_shard_sets_all() {
    let mut desk = Desk::of_long_runs().await;
    let runs = [run("1"), run("2"), run("3")];
    for run in &runs[..2] {
        desk.start(*run).await;
        desk.settle().await;
    }
    desk.start(runs[2]).await;
    let mut in_hand: FuturesUnordered<Work> = desk.take().await.into_iter().collect();
    desk.follower.finish(&mut in_hand).await;
    let mut all = runs.map(deadline_of);
    all.sort();
    assert_eq!(desk.deadlines().await, all);
    assert!(!desk.follower.has_put_off());
    assert_eq!(desk.settled().await, 3, "nothing comes again");
}

/// Others of the shard must not wait for room in hand.
#[tokio::test(start_paused = true)]
async fn no_more_are_put_off_than_there_is_room_for() {
    let mut desk = Desk::of_long_runs().await;
    for number in 0..=super::deadline::MOST {
        desk.start(run(&number.to_string())).await;
        desk.settle().await;
    }
    assert_eq!(desk.deadlines().await, [deadline_of(run("0"))]);
}
