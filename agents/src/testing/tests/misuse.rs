//! Tests that are wrong are told so, instead of hanging or holding by chance.

use std::time::Duration;

use serde_json::{Value, json};

use super::{panics, panics_later};
use crate::testing::{TestAgent, TestMesh};
use crate::{Agent, Context, TaskFailure};

const ONE: &str = "{mesh: v1, name: one, tasks: {greet: {agent: greeter}}}";

#[tokio::test(start_paused = true)]
async fn names_that_mean_nothing_are_refused() {
    let mesh = TestMesh::of(ONE);
    let said = panics(|| mesh.mock("greter", |_| Ok(())));
    assert!(
        said.contains("no task here needs the capability 'greter'")
            && said.contains("did you mean 'greeter'?"),
        "{said}"
    );
    let said = panics(|| mesh.agent_for("greet").never_answers());
    assert!(said.contains("that is a task, which needs the capability 'greeter'"), "{said}");
    let said = panics(|| mesh.agent_for("greeter").dies().in_task("gret"));
    assert!(said.contains("no workflow here has a task 'gret'"), "{said}");
    let said = panics(|| mesh.run(()).of("two"));
    assert!(said.contains("the mesh has no workflow 'two'") && said.ends_with("it has one"), "{said}");
    let said = panics(|| mesh.mock("Greeter", |_| Ok(())));
    assert!(said.contains("is not a valid capability"), "{said}");
    let agent = TestAgent::of(Agent::builder("a").capability("greeter", async |_: Context, (): ()| Ok(())));
    let said = panics(|| agent.task("greter", ()));
    assert!(said.contains("no capability 'greter'; it has greeter: did you mean 'greeter'?"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_nobody_does_is_told_at_once() {
    let mesh = TestMesh::of(ONE);
    let said = panics_later(async { mesh.run(()).await }).await;
    assert!(said.contains("task 'greet' needs the capability 'greeter', and nobody here has it"), "{said}");
    assert!(said.contains("mesh.nobody_has(\"greeter\")"), "{said}");
    let mesh = TestMesh::of(ONE);
    mesh.agent(Agent::builder("caller").capability("greeter", async |ctx: Context, input: Value| {
        ctx.call::<_, Value>("oracle", input).await
    }));
    let said = panics_later(async { mesh.run(()).await }).await;
    assert!(said.contains("an agent calls for a task that needs the capability 'oracle'"), "{said}");
    assert!(said.contains("task.assigned greet"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn definitions_that_are_not_sound_are_told_with_positions() {
    let said = panics(|| TestMesh::of("mesh: v1\nname: one\ntasks:\n  greet: {agnet: greeter}\n"));
    assert!(said.contains("4:") && said.contains("did you mean 'agent'?"), "{said}");
    let said = panics(|| TestMesh::of(std::path::Path::new("nowhere.yaml")));
    assert!(said.contains("cannot read the definition from nowhere.yaml"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_behaviour_that_would_never_be_seen_is_refused() {
    let mesh = TestMesh::of(ONE);
    mesh.mock("greeter", |_| Ok(())).never_answers();
    let said = panics(|| mesh.agent_for("greeter").fails_with(TaskFailure::retryable("busy", "not now")));
    assert!(said.contains("would never be seen") && said.contains(".works()"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn several_workflows_are_told_apart() {
    let mesh = TestMesh::of(ONE);
    mesh.mock("greeter", |_| Ok(()));
    mesh.workflow("{mesh: v1, name: two, tasks: {greet: {agent: greeter}}}");
    let said = panics_later(async { mesh.run(()).await }).await;
    assert!(said.contains("several workflows: name one with .of(…): one, two"), "{said}");
    mesh.run(()).of("two").await.completed();
}

#[tokio::test(start_paused = true)]
async fn waiting_for_what_never_comes_ends() {
    let mesh = TestMesh::of(ONE);
    mesh.mock("greeter", |_| Ok(json!("hello")));
    let run = mesh.start(()).await;
    let said = panics(|| drop(run.until("task.created gret")));
    assert!(said.contains("no task 'gret'"), "{said}");
    let said = panics_later(async { run.until("task.failed greet").await }).await;
    assert!(said.contains("waited for 'task.failed greet', and the run ended without it"), "{said}");
    let early = mesh.start(()).await;
    assert!(panics(|| early.completed()).contains("has not ended: await run.ended()"));
    // Nothing goes on without an orchestrator.
    mesh.kill_orchestrator();
    mesh.patience(Duration::from_millis(200));
    let said = panics_later(async { mesh.run(()).await }).await;
    assert!(said.contains("waited 200ms for the end of the run"), "{said}");
}

#[test]
fn a_mesh_needs_a_runtime() {
    assert!(panics(TestMesh::new).contains("#[tokio::test(start_paused = true)]"));
}
