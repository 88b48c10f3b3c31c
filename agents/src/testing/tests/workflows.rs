//! Whole workflows.

use std::path::Path;

use serde_json::{Value, json};

use crate::testing::{Definition, TaskBuilder, TestMesh, days, hours, seconds};
use crate::{Agent, Context, TaskFailure};

const ORDER: &str = "
mesh: v1
name: order
input: {type: object, required: [amount]}
output: {paid: '${tasks.charge.output.paid}', gift: '${tasks.gift.output}'}
tasks:
  risk: {agent: risk, timeout: 1h}
  stock: {agent: stock}
  charge: {agent: charge, needs: [risk, stock], timeout: 10s}
  gift: {agent: gift, needs: [risk], when: 'input.amount > 100'}
";

fn order() -> TestMesh {
    let mesh = TestMesh::of(ORDER);
    mesh.mock("risk", |_| Ok(json!({"level": "low"})));
    mesh.mock("stock", |_| Ok(json!(3)));
    mesh.mock("gift", |_| Ok(json!("a pen")));
    mesh.mock("charge", |input| Ok(json!({"paid": input["amount"]})));
    mesh
}

#[tokio::test(start_paused = true)]
async fn a_run_is_told_in_sentences() {
    let mesh = order();
    mesh.agent_for("stock").takes(seconds(5)).once();
    let run = mesh.run(json!({"amount": 5})).correlation_id("order-1").await;

    run.completed().with_output(json!({"paid": 5, "gift": null})).within(seconds(6)).after(seconds(5));
    run.task("gift").was_skipped().did_not_run();
    run.task("charge").ran_after("risk").ran_after("stock").had_input(json!({"amount": 5}));
    run.task("risk").ran_beside("stock").ran_before("charge");
    run.task("risk").completed().with_output(json!({"level": "low"}));
    run.events()
        .in_order(["workflow.started", "task.created risk", "task.completed stock", "task.created charge"])
        .do_not_include("task.failed")
        .include_exactly(3, "task.created")
        .satisfy("three tasks in all", |events| {
            events.iter().filter(|e| e.is("task.completed")).count() == 3
        });
    assert_eq!(run.workflow().map(ToString::to_string).as_deref(), Some("order"));
    assert_eq!(mesh.runs().len(), 1);
    // The same test makes the same run, which is good for what is derived from its id.
    assert_eq!(run.id(), order().run(json!({"amount": 5})).await.id());
}

#[tokio::test(start_paused = true)]
async fn one_mesh_has_many_runs() {
    let mesh = order();
    let big = mesh.start(json!({"amount": 500})).await;
    let small = mesh.start(json!({"amount": 5})).with_id("small").await;
    let again = mesh.run(json!({"amount": 7})).with_id("small").await;
    big.ended().await.completed().with_output_including(json!({"gift": "a pen"}));
    small.completed().with_output_including(json!({"paid": 5}));
    assert_eq!(small.id(), again.id());
    assert_eq!(mesh.runs().len(), 2);
    mesh.mock("charge", |_| Err::<(), _>(TaskFailure::fatal("declined", "the card was declined")));
    let declined = mesh.run(json!({"amount": 5})).await;
    declined.failed().with_code("declined").saying("the card").in_task("charge");
    declined.task("charge").failed().fatally().with_code("declined");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_input_is_rejected() {
    let run = order().run(json!({})).await;
    run.rejected().with_code("invalid_input").because("amount");
    run.events().in_order(["request.rejected"]).do_not_include("workflow.started");
}

#[tokio::test(start_paused = true)]
async fn a_run_is_cancelled_in_the_middle() {
    let mesh = order();
    mesh.agent_for("risk").takes(hours(24));
    let run = mesh.start(json!({"amount": 5})).await;
    run.until("task.assigned risk").await;
    run.cancel("the customer left").await;
    run.ended().await.cancelled().because("the customer");
    run.task("charge").did_not_run();
    run.events().in_order(["workflow.signalled cancel", "workflow.cancelled"]).include("task.cancelled risk");
}

#[tokio::test(start_paused = true)]
async fn agents_that_are_not_there_keep_a_run_waiting_to_its_deadline() {
    let mesh = TestMesh::of(ORDER);
    mesh.mock("stock", |_| Ok(json!(3)));
    mesh.nobody_has("risk").nobody_has("charge").nobody_has("gift");
    let run = mesh.run(json!({"amount": 5})).await;
    run.failed().with_code("timeout").after(days(1)).within(days(1) + seconds(1));
    run.task("risk").was_created(1).times().was_taken(0).times();
}

#[tokio::test(start_paused = true)]
async fn agents_of_ones_own_take_part_and_call_others() {
    let mesh = order();
    let careful = Agent::builder("careful").capability("risk", async |ctx: Context, input: Value| {
        ctx.progress(0.5, Some("asking the bureau")).await;
        let score: f64 = ctx.call("bureau", &input).await?;
        Ok(json!({"level": if score > 0.5 { "low" } else { "high" }}))
    });
    // A mock goes before an agent, so a mesh of its own shows the agent.
    mesh.agent(careful);
    let mocked = mesh.run(json!({"amount": 5})).await;
    mocked.events().do_not_include("task.progress");

    let mesh = TestMesh::of(ORDER);
    let careful = Agent::builder("careful").capability("risk", async |ctx: Context, input: Value| {
        ctx.progress(0.5, Some("asking the bureau")).await;
        let score: f64 = ctx.call("bureau", &input).await?;
        Ok(json!({"level": if score > 0.5 { "low" } else { "high" }}))
    });
    mesh.workflow("{mesh: v1, name: ask, tasks: {score: {agent: bureau}}}");
    mesh.agent(careful);
    mesh.mock("bureau", |_| Ok(0.9)).takes(seconds(600));
    mesh.nobody_has("stock").nobody_has("charge").nobody_has("gift");
    let run = mesh.start(json!({"amount": 5})).of("order").await;
    run.until("task.completed risk").await;
    run.task("risk").completed().with_output(json!({"level": "low"}));
    run.task("risk").reported(&[0.5]);
    assert_eq!(mesh.runs().len(), 2);
    mesh.runs()[1].completed().with_output(0.9).after(seconds(600));
}

#[tokio::test(start_paused = true)]
async fn a_task_without_a_workflow() {
    let mesh = TestMesh::new();
    mesh.mock("double", |input| Ok(input.as_u64().map(|n| n * 2)));
    let run = mesh.call("double", 21).await;
    run.completed().with_output(42);
    run.task("task").was_created(1).times().completed().with_output(42);
}

#[tokio::test(start_paused = true)]
async fn a_definition_may_be_text_file_or_built() -> Result<(), Box<dyn std::error::Error>> {
    let built = Definition::builder("hello")?.task("greet", TaskBuilder::new("greeter")?)?.build();
    let mesh = TestMesh::of(&built);
    mesh.mock("greeter", |_| Ok("hello"));
    mesh.run(()).await.completed().with_output(json!({"greet": "hello"}));
    let mesh = TestMesh::of(built.canonical_json().as_str());
    mesh.mock("greeter", |_| Ok("hello"));
    mesh.run(()).await.completed();
    let mesh = TestMesh::of(Path::new("../schemas/examples/hello.yaml"));
    mesh.mock("greet", |_| Ok("hello"));
    mesh.run(json!({"name": "Ada"})).await.completed();
    Ok(())
}

#[tokio::test]
async fn the_clock_may_go_as_it_does() {
    order().run(json!({"amount": 5})).await.completed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_several_threads_too() {
    order().run(json!({"amount": 500})).await.completed();
}

#[tokio::test(start_paused = true)]
async fn what_is_large_is_seen_like_anything_else() {
    let mesh = TestMesh::of("{mesh: v1, name: echo, output: '${tasks.t.output}', tasks: {t: {agent: echo}}}");
    mesh.mock("echo", |input| Ok(input.clone()));
    let large = json!({"text": "x".repeat(2_000_000)});
    let run = mesh.run(large.clone()).await;
    run.completed().with_output(large.clone());
    run.task("t").had_input(large);
}

const ONBOARDING: &str = "
mesh: v1
name: onboarding
output: {account: '${tasks.open.output}'}
tasks: {open: {agent: bank, retry: {max_attempts: 1}}}
";

const MERCHANTS: &str = "
mesh: v1
name: merchants
output: '${tasks.all.output}'
tasks: {all: {foreach: '${input}', workflow: onboarding, output: '${result.account}', retry: {max_attempts: 2, initial: 1h, max: 1h}}}
";

#[tokio::test(start_paused = true)]
async fn runs_within_runs_are_runs_of_the_mesh() {
    let mesh = TestMesh::of(MERCHANTS);
    mesh.workflow(ONBOARDING);
    mesh.mock("bank", |input| Ok(json!(format!("account of {}", input.as_str().unwrap_or("?")))));
    mesh.agent_for("bank").fails_with(TaskFailure::retryable("closed", "come again")).once();
    let run = mesh.run(json!(["Ada", "Bob"])).of("merchants").await;
    run.completed().with_output(json!(["account of Ada", "account of Bob"])).after(seconds(2_000));
    assert_eq!(mesh.runs().len(), 4, "one around, and three of which one failed");
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "task 'all' starts a run of the workflow 'onboarding', which is not here")]
async fn a_run_of_a_workflow_that_is_not_there_is_a_mistake() {
    TestMesh::of(MERCHANTS).run(json!(["Ada"])).await.completed();
}
