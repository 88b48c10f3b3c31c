//! `--wait`, `--watch` and `runs watch`: staying with a run.

use anyhow::{Context as _, Result};
use mesh_bus::RunOutcome;
use mesh_schemas::RunId;
use mesh_tests::{TestServer, World};
use serde_json::json;

use crate::spoken::{Spoken, normal};
use crate::support::Person;
use crate::worker::{Gate, SINGLE, TOUR, worker};

/// What is said of a run of the workflow `tour`.
const TOLD: &str = "\
TIME  run RUN of tour began
TIME  fetch  active     #1 by worker-1
TIME  fetch  active     #1 by worker-1 50% half way
TIME  fetch  done       #1 by worker-1 in DURATION
TIME  load   active     #1 by worker-1
TIME  load   retrying   #1 by worker-1: flaky: not yet; again at TIME
TIME  load   active     #2 by worker-1
TIME  load   done       #2 by worker-1 in DURATION
TIME  after  skipped
TIME  maybe  skipped
TIME  risky  active     #1 by worker-1
TIME  risky  failed     #1 by worker-1 in DURATION: broken: it broke
TIME  run completed in DURATION
";

/// Lets the worker do each attempt of the workflow `tour` when it was told that it is at it.
async fn lead_through_tour(watching: &mut Spoken, gate: &Gate) -> Result<()> {
    let steps =
        ["active     #1 by", "50% half way", "load   active     #1 by", "#2 by", "risky  active     #1 by"];
    for step in steps {
        watching.until(step).await?;
        gate.open();
    }
    Ok(())
}

/// Without the lines that tell of attempts before somebody has taken them: who takes one may be known as soon as the
/// attempt is.
fn told(err: &str) -> String {
    let lines = normal(err);
    // A slow machine gives time to tell how far the run is.
    let is_told = |line: &&str| {
        (!line.contains("  active  ") || line.contains(" by ")) && !line.contains("  progress ")
    };
    lines.lines().filter(is_told).map(|line| format!("{line}\n")).collect()
}

fn run_in(line: &str) -> Result<RunId> {
    line.split(' ').find_map(|word| word.parse().ok()).with_context(|| format!("no run in '{line}'"))
}

#[tokio::test]
async fn every_change_is_a_line() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    world.apply(TOUR).await?;
    let person = Person::of(&world)?;
    let mut watching = Spoken::on_stderr(&person, &["start", "tour", "--watch", "-o", "json"])?;
    lead_through_tour(&mut watching, &gate).await?;
    let said = watching.ended().await?;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(told(&said.err), TOLD);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&said.out)?, json!({"fail_first": 1}));
    // Afterwards the same is told, but for what passed without being part of the log.
    let again = person.says(&["runs", "watch", "@last"]).await?;
    assert_eq!(again.code, 0, "{again:?}");
    let lasting = TOLD.lines().filter(|line| !line.contains("  active  "));
    assert_eq!(told(&again.err), lasting.map(|line| format!("{line}\n")).collect::<String>());
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_run_that_is_under_way_can_be_joined() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    world.apply(SINGLE).await?;
    let person = Person::of(&world)?;
    let run = world.start("single", json!({"fatal": true})).await?;
    // The run's name may be known before the run has begun.
    let mut watching = Spoken::on_stderr(&person, &["run", "watch", &run.to_string()])?;
    watching.until("work  active     #1 by worker-1").await?;
    gate.open();
    let said = watching.ended().await?;
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.err.contains("broken: it broke"), "{said:?}");
    let unknown = world.run_of(&world.request("single", "never submitted", json!({}))?).await?;
    let said = person.says(&["runs", "watch", &unknown.to_string()]).await?;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains(&format!("the log has no run {unknown}")), "{said:?}");
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn an_interrupted_command_leaves_the_run_alone() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    world.apply(SINGLE).await?;
    let person = Person::of(&world)?;
    let mut runs = Vec::new();
    for command in
        [&["start", "single", "--wait"][..], &["start", "single", "--watch"], &["call", "work", "{}"]]
    {
        let mut waiting = Spoken::on_stderr(&person, command)?;
        let run = run_in(&waiting.until("run ").await?)?;
        waiting.interrupt()?;
        let said = waiting.ended().await?;
        assert_eq!((said.code, said.out.as_str()), (130, ""), "{said:?}");
        assert!(
            said.err.contains(&format!("interrupted: run {run} goes on. `mesh runs watch {run}`")),
            "{said:?}"
        );
        runs.push(run);
    }
    gate.open_for_good();
    for run in runs {
        assert!(matches!(world.ended(run).await?, RunOutcome::Completed(_)));
    }
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_lost_connection_is_told_and_the_waiting_goes_on() -> Result<()> {
    let mut server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    world.apply(SINGLE).await?;
    let person = Person::of(&world)?;
    let mut waiting = Spoken::on_stderr(&person, &["start", "single", "--wait", "--input", "1"])?;
    waiting.until("run ").await?;
    let mut watching = Spoken::on_stderr(&person, &["start", "single", "--watch", "--input", "2"])?;
    watching.until("active     #1 by worker-1").await?;
    server.restart()?;
    for command in [&mut waiting, &mut watching] {
        command.until("connection to NATS lost").await?;
        command.until("connected to NATS again").await?;
    }
    gate.open_for_good();
    for (command, output) in [(waiting, "1\n"), (watching, "2\n")] {
        let said = command.ended().await?;
        assert_eq!((said.code, said.out.as_str()), (0, output), "{said:?}");
        assert_eq!(said.err.matches("connection to NATS lost").count(), 1, "{said:?}");
    }
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_capability_that_nobody_has_is_told_once() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    gate.open_for_good();
    // A slip of the pen, in the second task only, twice.
    let workflow = "
mesh: v1
name: slip
timeout: 6s
tasks: {a: {agent: work}, b: {agent: wrok, needs: [a]}, c: {agent: wrok, needs: [a]}}
";
    world.apply(workflow).await?;
    let person = Person::of(&world)?;
    let expected = "waits for an agent with the capability 'wrok', and none is registered (there are agents for \
                    'work'): `mesh agent exec --capability wrok -- COMMAND`";
    let commands = [&["start", "slip", "--wait"], &["start", "slip", "--watch"]];
    let waiting = futures::future::try_join_all(commands.map(|command| person.says(command))).await?;
    for said in waiting {
        assert_eq!(said.code, 4, "{said:?}");
        assert_eq!(said.err.matches(expected).count(), 1, "{said:?}");
        assert!(!said.err.contains("capability 'work'"), "{said:?}");
    }
    agent.stop().await?;
    orchestrator.stop().await
}
