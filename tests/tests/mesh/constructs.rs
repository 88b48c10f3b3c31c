//! Groups, switches, loops, joins and tasks that stand in for others, on real servers.

use anyhow::Result;
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_tests::{Audit, TestServer, World};
use serde_json::{Value, json};

async fn echo(_ctx: Context, input: Value) -> Result<Value, TaskFailure> {
    Ok(input)
}

/// Fails unless the input is a number.
async fn double(_ctx: Context, input: Value) -> Result<Value, TaskFailure> {
    input
        .as_u64()
        .map(|number| json!(number * 2))
        .ok_or_else(|| TaskFailure::fatal("no_number", "give me one"))
}

const DEFINITION: &str = "
mesh: v1
name: everything
output:
  doubled: '${tasks.doubled.output}'
  grown: '${tasks.grown.output}'
  all: '${tasks.grown.iterations}'
  first: '${tasks.first.output}'
  route: '${tasks.route.output}'
  repaired: '${tasks.broken.output}'
tasks:
  doubled:
    foreach: {in: '${input.items}', max_parallel: 3, tolerate: 1}
    output: '${tasks.sum.output}'
    tasks:
      twice: {agent: double}
      sum: {agent: echo, needs: [twice], with: '${tasks.twice.output + index}'}
  grown:
    needs: [doubled]
    repeat: {until: result > 20, max: 9}
    agent: double
    with: '${iteration == 1 ? size(tasks.doubled.output) : previous}'
  left: {agent: echo, with: left}
  right: {agent: double, with: right, on_failure: continue}
  first: {agent: echo, needs: [left, right], join: any, with: '${tasks.left.output}'}
  route:
    switch:
      - {when: size(input.items) > 100, agent: nobody}
      - {agent: echo, with: short}
  broken: {agent: double, with: text, on_failure: {task: repair}}
  repair: {agent: echo, with: '${tasks.broken.error.code}'}
";

#[tokio::test]
async fn a_workflow_of_everything_goes_through() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent =
        world.agent(Agent::builder("able").capability("echo", echo).capability("double", double)).await?;
    world.apply(DEFINITION).await?;
    let output = world.output("everything", json!({"items": [1, 2, "three", 4]})).await?;
    let third = &output["doubled"][2];
    assert_eq!(third, &json!({"error": {"code": "no_number", "message": "give me one"}}));
    assert_eq!([&output["doubled"][0], &output["doubled"][1], &output["doubled"][3]], [2, 5, 11]);
    assert_eq!((&output["grown"], &output["all"]), (&json!(32), &json!([8, 16, 32])));
    assert_eq!(
        (&output["first"], &output["route"], &output["repaired"]),
        (&json!("left"), &json!("short"), &json!("no_number"))
    );
    Audit::when_idle(&world, &["echo", "double"]).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

const REVIEW: &str = "
mesh: v1
name: review
output: {best: '${tasks.best.output.primary}', failed: '${tasks.best.output.failed[0].source}', report: '${tasks.review.output}'}
tasks:
  review: {agent: planner, plan: {capabilities: [echo, double], max_tasks: 4}}
  one: {agent: echo, with: one, needs: [review]}
  two: {agent: double, needs: [review], on_failure: continue}
  best: {needs: [one, two], merge: quality}
";

/// Plans to double what it is given, and to repeat that.
async fn plan(_ctx: Context, input: Value) -> Result<Value, TaskFailure> {
    Ok(json!({
        "tasks": {
            "twice": { "agent": "double", "with": input["number"] },
            "again": { "agent": "echo", "needs": ["twice"], "with": { "was": "${tasks.twice.output}" } },
        },
        "output": "${tasks.again.output.was}",
    }))
}

#[tokio::test]
async fn what_an_agent_plans_is_done_and_results_are_merged() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let able = Agent::builder("able").capability("echo", echo).capability("double", double);
    let agent = world.agent(able.capability("planner", plan)).await?;
    world.apply(REVIEW).await?;
    let output = world.output("review", json!({"number": 21})).await?;
    assert_eq!(output, json!({"best": "one", "failed": "two", "report": 42}));
    Audit::when_idle(&world, &["echo", "double", "planner"]).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn ten_thousand_items_harm_nobody() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("able").capability("double", double)).await?;
    world
        .apply("{mesh: v1, name: many, output: '${size(tasks.all.output)}', tasks: {all: {foreach: '${input}', agent: double}}}")
        .await?;
    let items: Vec<u64> = (0..10_000).collect();
    assert_eq!(world.output("many", json!(items)).await?, json!(10_000));
    agent.stop().await?;
    orchestrator.stop().await
}
