//! `mesh runs rerun` and `--pause-before`: runs that are done again in part, and that stop on the way.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_bus::RunOutcome;
use mesh_bus::topology::Stream;
use mesh_orchestrator::{Options, Retention};
use mesh_schemas::StoredMessage;
use mesh_schemas::payload::Rerun;
use mesh_tests::{Running, TestServer, World};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::support::Person;

const FORK: &str = "
mesh: v1
name: fork
config: { extra: { some: none, more: none } }
output: { left: '${tasks.left.output}', right: '${tasks.right.output}', both: '${tasks.both.output}' }
tasks:
  first: { agent: echo, with: { task: first, n: '${input.n}' } }
  left: { agent: echo, needs: [first], with: { task: left, n: '${input.n}' } }
  right: { agent: echo, needs: [first], with: { task: right, n: '${input.n}', fail: '${input.fail}' } }
  both: { agent: echo, needs: [left, right], with: { task: both, extra: '${config.extra}' } }
";

/// The inputs of what was done, in order.
type Done = Arc<Mutex<Vec<String>>>;

/// An agent that returns what it is given, and says what it did.
async fn echo(world: &World) -> Result<(Running, Done)> {
    let done = Done::default();
    let seen = Arc::clone(&done);
    let work = move |_ctx: Context, input: Value| {
        let seen = Arc::clone(&seen);
        async move {
            seen.lock().await.push(input["task"].as_str().unwrap_or("-").to_owned());
            match &input["fail"] {
                Value::Bool(true) => Err(TaskFailure::fatal("broken", "it was told to")),
                _ => Ok(input),
            }
        }
    };
    Ok((world.agent(Agent::builder("echoes").capability("echo", work)).await?, done))
}

/// What was done since it was last asked, by name.
async fn taken(done: &Done) -> Vec<String> {
    let mut taken = std::mem::take(&mut *done.lock().await);
    taken.sort();
    taken
}

#[tokio::test]
async fn a_run_is_done_again_from_where_it_went_wrong() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, done) = echo(&world).await?;
    world.apply(FORK).await?;
    let person = Person::of(&world)?;
    let failed = person
        .says(&[
            "start",
            "fork",
            "--input",
            r#"{"n": 1, "fail": true}"#,
            "--correlation-id",
            "order-7",
            "--wait",
        ])
        .await?;
    ensure!(failed.code != 0 && failed.err.contains("broken"), "{failed:?}");
    taken(&done).await;

    let input = r#"{"n": 2, "fail": false}"#;
    let again = person.says(&["runs", "rerun", "@last", "--input", input, "--wait"]).await?.json()?;
    assert_eq!(taken(&done).await, ["both", "right"], "what went well is not done again");
    assert_eq!((&again["left"]["n"], &again["right"]["n"]), (&json!(1), &json!(2)));
    let shown = person.says(&["runs", "show", "@last", "-o", "json"]).await?.json()?;
    assert_eq!(shown["rerun"]["taken_over"], json!(["first", "left"]));
    assert_eq!((&shown["correlation_id"], &shown["counts"]), (&json!("order-7"), &json!({"done": 4})));
    let table = person.says(&["runs", "show", "@last"]).await?.well()?;
    ensure!(table.contains("taken over: first, left"), "{table}");
    let row = table.lines().find(|line| line.starts_with("left ")).context("a row")?;
    ensure!(row.contains(" done ") && row.ends_with("taken over"), "{table}");

    // All went well now: somebody has to say from where on, and the input stays if nothing is said.
    let refused = person.says(&["runs", "rerun", "@last", "--wait"]).await?;
    ensure!(
        refused.code != 0 && refused.err.contains("everything in run") && refused.err.contains("--from TASK"),
        "{refused:?}"
    );
    let rerun = ["runs", "rerun", "@last", "--from", "both", "--set", "extra.some=much", "--wait"];
    let again = person.says(&rerun).await?.json()?;
    assert_eq!(taken(&done).await, ["both"]);
    assert_eq!((&again["both"]["extra"]["some"], &again["right"]["n"]), (&json!("much"), &json!(2)));
    let rerun = ["runs", "rerun", "@last", "--from", "both", "--set", "extra.more=yes", "--wait"];
    let again = person.says(&rerun).await?.json()?;
    assert_eq!(again["both"]["extra"], json!({"some": "much", "more": "yes"}), "beside what was said before");
    taken(&done).await;
    let stop = ["runs", "rerun", "@last", "--from", "both", "--pause-before", "left", "--wait"];
    let refused = person.says(&stop).await?;
    ensure!(
        refused.err.contains("task 'left' is taken over, so the run does not stop before it"),
        "{refused:?}"
    );
    let refused = person.says(&["runs", "rerun", "@last", "--from", "nothing", "--wait"]).await?;
    ensure!(
        refused.err.contains("has no task 'nothing' of its own: it has both, first, left, right"),
        "{refused:?}"
    );
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn an_archived_run_is_done_again_with_large_outputs() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let none = std::time::Duration::ZERO;
    let retention = Retention { grace: none, requests: none };
    let orchestrator = world.orchestrator_with(Options { retention, ..Options::default() }).await?;
    let (agent, done) = echo(&world).await?;
    world.apply(FORK).await?;
    for (bytes, member) in [(40_000, "#/taken_over\""), (200_000, "#/taken_over\"")] {
        let input = json!({"n": "x".repeat(bytes), "fail": false});
        let run = world.start("fork", input).await?;
        let first = world.ended(run).await?;
        world.first(Stream::History, &format!("history.fork.completed.{run}")).await?;
        taken(&done).await;
        let mut request = world.request("fork", &format!("again-{bytes}"), Value::Null)?;
        request.rerun = Some(Rerun { of: run, from: vec!["both".parse()?] });
        let again = mesh_bus::submit(&*world.bus, &request).await?;
        let RunOutcome::Completed(ended) = world.ended(again).await? else { bail!("it did not complete") };
        let RunOutcome::Completed(first) = first else { bail!("it did not complete") };
        assert_eq!(taken(&done).await, ["both"]);
        assert!(ended.output == first.output, "the outputs are those of before");
        let log = mesh_bus::read_whole_run(&*world.bus, &again).await?.events;
        let started = String::from_utf8(log[0].message.payload.to_vec())?;
        let reference = started.split("\"dataref\":").nth(1).context("it carries all")?;
        ensure!(
            reference.split(',').next().is_some_and(|it| it.trim_end_matches('}').ends_with(member)),
            "{reference}"
        );
    }
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn what_cannot_be_done_again_is_told() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(FORK).await?;
    world.apply("{mesh: v1, name: other, tasks: {a: {agent: nobody}}}").await?;
    let person = Person::of(&world)?;
    let open = world.start("other", json!({})).await?;
    world.first(Stream::Events, &format!("workflow.started.other.-.{open}")).await?;
    let open = open.to_string();
    let refused = person.says(&["runs", "rerun", &open, "--wait"]).await?;
    ensure!(refused.err.contains("has not ended") && refused.err.contains("mesh runs cancel"), "{refused:?}");
    // As other systems ask for it: the run of another workflow, one that never was, and no run at all.
    let gone = "0.6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    person.says(&["runs", "cancel", &open]).await?.well()?;
    world.ended(open.parse()?).await?;
    for (id, of, said) in [
        ("1", open.as_str(), "is one of workflow 'other'"),
        ("2", gone, "there is no run 0.6ba7b810"),
        ("3", "what", "rerunof: "),
    ] {
        let event = json!({
            "specversion": "1.0", "id": id, "source": "/elsewhere", "type": "workflow.requested", "rerunof": of,
            "data": {},
        });
        world.publish("workflow.requested.fork", event.to_string()).await?;
        let is_it = |stored: &StoredMessage| String::from_utf8_lossy(&stored.message.payload).contains(said);
        world.until(Stream::Notes, "request.rejected.fork.*", is_it).await?;
    }
    orchestrator.stop().await
}

#[tokio::test]
async fn a_run_stops_before_the_tasks_that_its_request_names() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, done) = echo(&world).await?;
    world.apply(FORK).await?;
    let person = Person::of(&world)?;
    let input = r#"{"n": 1, "fail": false}"#;
    let refused = person.says(&["start", "fork", "--input", input, "--pause-before", "x", "--wait"]).await?;
    ensure!(refused.code != 0 && refused.err.contains("has no task 'x' of its own"), "{refused:?}");
    let run = person.says(&["start", "fork", "--input", input, "--pause-before", "both"]).await?.well()?;
    let run = run.trim();
    world.first(Stream::Events, &format!("workflow.paused.fork.-.{run}.1")).await?;
    assert_eq!(taken(&done).await, ["first", "left", "right"]);
    let shown = person.says(&["runs", "show", run]).await?.well()?;
    ensure!(shown.contains("paused   before task 'both'"), "{shown}");
    person.says(&["runs", "resume", run]).await?.well()?;
    world.ended(run.parse()?).await?;
    assert_eq!(taken(&done).await, ["both"]);
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_run_whose_events_are_dropped_is_not_done_again_from_the_beginning() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let retention = Retention { grace: std::time::Duration::ZERO, ..Retention::default() };
    let orchestrator = world.orchestrator_with(Options { retention, ..Options::default() }).await?;
    let (agent, done) = echo(&world).await?;
    world.apply(FORK).await?;
    let run = world.start("fork", json!({"n": 1, "fail": true})).await?;
    world.ended(run).await?;
    let history = world.first(Stream::History, &format!("history.fork.failed.{run}")).await?;
    // Its beginning and its end are all that is left in the log.
    while !world.stored(Stream::Events, &format!("*.*.*.*.{run}.>")).await?.is_empty() {
        tokio::task::yield_now().await;
    }
    mesh_bus::Bus::remove(&*world.bus, Stream::History, history.sequence).await?;
    taken(&done).await;
    let person = Person::of(&world)?;
    let refused = person.says(&["runs", "rerun", &run.to_string(), "--wait"]).await?;
    ensure!(refused.code != 0 && refused.err.contains("does not lead to its end"), "{refused:?}");
    ensure!(taken(&done).await.is_empty(), "nothing was done");
    agent.stop().await?;
    orchestrator.stop().await
}
