//! What goes wrong on demand.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::testing::{TestMesh, hours, minutes, seconds};
use crate::{Agent, Context, TaskFailure};

const CHAIN: &str = "
mesh: v1
name: chain
timeout: 3d
tasks:
  a: {agent: work, timeout: 2d, retry: {jitter: 0}}
  b: {agent: work, needs: [a], timeout: 2d, retry: {jitter: 0}}
";

fn chain() -> TestMesh {
    let mesh = TestMesh::of(CHAIN);
    mesh.mock("work", |_| Ok(json!("done")));
    mesh
}

#[tokio::test(start_paused = true)]
async fn behaviours_come_one_after_the_other() {
    let mesh = chain();
    mesh.agent_for("work")
        .fails_with(TaskFailure::retryable("busy", "not now"))
        .times(2)
        .then()
        .takes(hours(1))
        .once();
    let run = mesh.run(()).await;
    // Pauses of 1 s and 2 s.
    run.completed().after(hours(1) + seconds(3)).within(hours(1) + seconds(4));
    run.task("a").was_created(3).times();
    run.task("b").was_created(1).times();
    run.events().in_order([
        "task.failed a 1",
        "timer.fired",
        "task.failed a 2",
        "timer.fired",
        "task.completed a 3",
    ]);
}

#[tokio::test(start_paused = true)]
async fn one_of_several_tasks_that_need_a_capability() {
    let mesh = chain();
    mesh.agent_for("work").fails_with(TaskFailure::fatal("no", "never")).in_task("b").after(minutes(5));
    let run = mesh.run(()).await;
    run.failed().with_code("no").in_task("b").after(minutes(5)).within(minutes(6));
    run.task("a").completed();
    mesh.agent_for("work").works();
    mesh.run(()).await.completed();
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_never_answers_is_out_of_time() {
    let mesh = chain();
    mesh.agent_for("work").never_answers().once();
    let run = mesh.run(()).await;
    run.completed().after(hours(48));
    run.events().in_order(["task.failed a 1", "task.created a 2", "task.completed a 2"]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_dies_is_replaced_after_its_silence() {
    let mesh = chain();
    mesh.agent_for("work").dies().once().after(minutes(10));
    let run = mesh.run(()).await;
    run.completed().after(minutes(10)).within(minutes(11));
    run.task("a").was_created(1).times().was_taken(2).times();
    mesh.agent_for("work").dies().in_task("b");
    let poisoned = mesh.run(()).await;
    poisoned.failed().with_code("poison").in_task("b");
    poisoned.task("b").was_taken(5).times();
}

/// What a handler did must not happen twice only because nobody heard of it.
#[tokio::test(start_paused = true)]
async fn work_is_done_again_with_the_same_key() {
    let ledger = Arc::new(Mutex::new((0, BTreeSet::new())));
    let book = Arc::clone(&ledger);
    let cashier = Agent::builder("cashier").capability("work", move |ctx: Context, _: Value| {
        let book = Arc::clone(&book);
        async move {
            let mut book = book.lock().map_err(|_| TaskFailure::fatal("poisoned", "a test failed"))?;
            book.0 += 1;
            book.1.insert(ctx.idempotency_key().to_owned());
            Ok(ctx.delivery())
        }
    });
    let mesh = TestMesh::of(CHAIN);
    mesh.agent(cashier);
    mesh.agent_for("work").dies_before_answering().once().in_task("a");
    let run = mesh.run(()).await;
    run.completed();
    run.task("a").completed().with_output(2);
    let ledger = ledger.lock().expect("no test failed");
    assert_eq!((ledger.0, ledger.1.len()), (3, 2), "{:?}", ledger.1);
}

#[tokio::test(start_paused = true)]
async fn an_orchestrator_may_die_at_any_moment() {
    let mesh = chain();
    mesh.agent_for("work").takes(hours(1));
    let run = mesh.start(()).await;
    run.until("task.assigned a").await;
    mesh.restart_orchestrator();
    run.until("task.assigned b").await;
    mesh.kill_orchestrator();
    run.until("task.completed b").await;
    tokio::time::sleep(hours(3)).await;
    run.events().do_not_include("workflow.completed");
    mesh.restart_orchestrator();
    run.ended().await.completed().after(hours(5));
    run.task("a").was_created(1).times().was_taken(1).times();
    run.task("b").was_created(1).times().was_taken(1).times();
}

#[tokio::test(start_paused = true)]
async fn the_bus_may_be_away() {
    let mesh = chain();
    mesh.agent_for("work").takes(minutes(10));
    let run = mesh.start(()).await;
    run.until("task.assigned a").await;
    mesh.bus_is_away_for(minutes(30)).await;
    run.ended().await.completed().after(minutes(40)).within(minutes(42));
    run.task("b").was_created(1).times().ran_after("a");
    // Who starts meanwhile goes on when it is back.
    let run = mesh.start(()).await;
    run.until("task.assigned a").await;
    tokio::join!(mesh.bus_is_away_for(minutes(30)), async { mesh.restart_orchestrator() });
    run.ended().await.completed().after(minutes(40)).within(minutes(42));
}
