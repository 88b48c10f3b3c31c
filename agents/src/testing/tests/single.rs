//! One agent and one task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::panics_later;
use crate::testing::{TestAgent, days, hours, minutes, seconds};
use crate::{Agent, AgentBuilder, Context, Output, TaskFailure};

/// Tells what it knows of its task.
fn teller() -> AgentBuilder {
    Agent::builder("teller").capability("tell", async |ctx: Context, input: Value| {
        Ok::<_, TaskFailure>(json!({
            "input": input,
            "workflow": ctx.workflow(),
            "task": ctx.task().to_string(),
            "action": ctx.action(),
            "attempt": ctx.attempt().get(),
            "delivery": ctx.delivery(),
            "key": ctx.idempotency_key(),
            "correlation": ctx.correlation_id(),
            "run": ctx.run().to_string(),
        }))
    })
}

/// Works in four steps of an hour, for as long as somebody waits.
fn stepper() -> AgentBuilder {
    Agent::builder("stepper").drain_timeout(minutes(5)).capability("step", async |ctx: Context, (): ()| {
        for step in 1..=4 {
            tokio::select! {
                () = tokio::time::sleep(hours(1)) => {}
                () = ctx.cancellation().cancelled() => {
                    return Err(TaskFailure::fatal("given_up", format!("in step {step}")));
                }
            }
            ctx.progress(f64::from(step) / 4.0, None).await;
        }
        Ok("done")
    })
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_told_what_the_test_says() {
    let agent = TestAgent::of(teller());
    let plain = agent.task("tell", 1).await;
    let run = plain.run().to_string();
    plain.completed().with_output(json!({
        "input": 1, "workflow": "-", "task": "task", "action": null, "attempt": 1, "delivery": 1,
        "key": format!("{run}.task"), "correlation": run, "run": run,
    }));
    let told = agent
        .task("tell", json!({"n": 1}))
        .of_workflow("payment", "charge")
        .action("refund")
        .attempt(3)
        .delivery(2)
        .idempotency_key("payment-17")
        .correlation_id("order-4")
        .await;
    told.completed().with_output_including(json!({
        "input": {"n": 1}, "workflow": "payment", "task": "charge", "action": "refund", "attempt": 3,
        "delivery": 2, "key": "payment-17", "correlation": "order-4",
    }));
    told.events().in_order(["workflow.started", "task.created charge 3", "task.completed charge 3"]);
}

#[tokio::test(start_paused = true)]
async fn progress_is_seen_and_time_is_skipped() {
    let agent = TestAgent::of(stepper());
    let outcome = agent.task("step", ()).await;
    outcome.completed().with_output("done");
    outcome.reported(&[0.25, 0.5, 0.75, 1.0]).after(hours(4)).within(hours(4) + seconds(1));
    assert_eq!(outcome.output::<String>(), "done");
    assert_eq!(outcome.result(), Some(Ok(Output::new(json!("done")))));
}

#[tokio::test(start_paused = true)]
async fn a_task_is_cancelled_in_the_middle() {
    let agent = TestAgent::of(stepper());
    let cancelled = agent.task("step", ()).cancelled_after(minutes(90)).await;
    cancelled.failed().with_code("given_up").saying("in step 2").fatally();
    cancelled.reported(&[0.25]).events().include("task.cancelled");
    let cancelled = agent.task("step", ()).cancelled_when(|progress| progress.progress > 0.6).await;
    cancelled.failed().saying("in step 4");
}

#[tokio::test(start_paused = true)]
async fn a_stopping_agent_gives_back_what_does_not_end() {
    let agent = TestAgent::of(stepper());
    let outcome = agent.task("step", ()).stopped_after(minutes(30)).await;
    outcome.was_given_back().after(minutes(35)).within(minutes(36));
    assert_eq!(outcome.result(), None);
    outcome.events().include("task.released task");
    // What ends while the agent drains is an outcome like any other.
    agent.task("step", ()).stopped_after(hours(4) - minutes(2)).await.completed();
}

#[tokio::test(start_paused = true)]
async fn limits_of_time_are_kept() {
    let agent = TestAgent::of(stepper());
    let slow = agent.task("step", ()).timeout(minutes(90)).await;
    slow.failed().with_code("timeout").retryably();
    slow.after(minutes(90)).within(minutes(91));
    agent.task("step", ()).deadline_in(hours(2)).await.failed().with_code("timeout");
    let never = Agent::builder("never").capability("wait", async |_: Context, (): ()| {
        std::future::pending::<()>().await;
        Ok(())
    });
    TestAgent::of(never).task("wait", ()).await.after(days(1)).failed().with_code("timeout");
}

#[tokio::test(start_paused = true)]
async fn all_that_an_agent_does_around_its_handler_is_done() {
    let runs = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&runs);
    let agent = Agent::builder("counter")
        .capability("count", move |_: Context, _: Value| {
            let count = count.fetch_add(1, Ordering::Relaxed);
            async move { Ok(count) }
        })
        .capability("panic", async |_: Context, (): ()| -> Result<(), TaskFailure> { panic!("at the disco") })
        .raw_capability("guess", async |_, _| {
            Ok(Output::new(json!(42)).quality(0.5).usage(json!({"tokens": 7})))
        })
        .capability("busy", async |_: Context, (): ()| {
            Err::<(), _>(TaskFailure::retryable("busy", "not now").retry_after(Duration::from_millis(1500)))
        });
    let agent = TestAgent::of(agent);
    // The sixth delivery is that of a task which seems to kill whoever takes it.
    agent.task("count", ()).delivery(5).await.completed();
    agent.task("count", ()).delivery(6).await.failed().with_code("poison").fatally();
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    agent.task("panic", ()).await.failed().with_code("panic").saying("at the disco").retryably();
    agent
        .task("guess", ())
        .await
        .completed()
        .with_output(42)
        .with_quality(0.5)
        .with_usage(json!({"tokens": 7}));
    agent.task("busy", ()).await.failed().to_be_retried_after(Duration::from_millis(1500));
    agent.task("panic", "not null").await.failed().with_code("invalid_input").fatally();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_calls_others_needs_a_mesh() {
    let caller = Agent::builder("caller")
        .capability("ask", async |ctx: Context, (): ()| ctx.call::<_, Value>("oracle", json!({})).await);
    let said = panics_later(async { TestAgent::of(caller).task("ask", ()).await }).await;
    assert!(
        said.contains("called for the capability 'oracle'") && said.contains("give it a TestMesh"),
        "{said}"
    );
}

#[tokio::test]
async fn the_clock_may_go_as_it_does() {
    let echo = Agent::builder("echo").capability("echo", async |_: Context, input: Value| Ok(input));
    TestAgent::of(echo).task("echo", "hello").await.completed().with_output("hello");
}

#[cfg(unix)]
#[tokio::test]
async fn a_program_is_tried_with_the_real_clock() {
    let agent = Agent::builder("tr").exec("shout", crate::Exec::new("tr").args(["a-z", "A-Z"]));
    TestAgent::of(agent).task("shout", "hello").await.completed().with_output("HELLO");
}
