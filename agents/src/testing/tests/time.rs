//! A day takes a moment.

use serde_json::{Value, json};

use crate::testing::{TestMesh, hours, minutes};
use crate::{Agent, Context, TaskFailure};

/// A fifth of a second in truth. This only tells a wait that is skipped from one that is spent on looking again and again.
const MOMENT: std::time::Duration = std::time::Duration::from_secs(10);

const SLOW: &str = "
mesh: v1
name: slow
timeout: 3d
output: '${tasks.b.output}'
tasks:
  a: {agent: work, timeout: 2d}
  b:
    agent: work
    needs: [a]
    with: '${tasks.a.output}'
    retry: {max_attempts: 3, initial: 10m, max: 1h, jitter: 0}
";

#[tokio::test(start_paused = true)]
async fn a_day_of_work_takes_a_moment() {
    let begun = std::time::Instant::now();
    let mesh = TestMesh::of(SLOW);
    mesh.mock("work", |input| Ok(json!({"n": input["n"].as_u64().unwrap_or_default() + 1})));
    let busy = TaskFailure::retryable("busy", "not now");
    mesh.agent_for("work").takes(hours(24)).once().in_task("a").then().fails_with(busy).times(2).in_task("b");

    let run = mesh.run(json!({"n": 1})).await;

    run.completed().with_output(json!({"n": 3})).after(hours(24) + minutes(30)).within(hours(25));
    run.task("a").was_created(1).times().was_taken(1).times();
    run.task("b").was_created(3).times().ran_after("a");
    assert!(begun.elapsed() < MOMENT, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn so_does_a_day_of_waiting_for_another_agent() {
    let begun = std::time::Instant::now();
    let mesh = TestMesh::new();
    mesh.agent(
        Agent::builder("asker").capability("ask", async |ctx: Context, input: Value| {
            ctx.call::<_, Value>("answer", input).await
        }),
    );
    mesh.mock("answer", Ok).takes(hours(23));

    mesh.call("ask", 42).await.completed().with_output(42).after(hours(23));
    assert!(begun.elapsed() < MOMENT, "{:?}", begun.elapsed());
}
