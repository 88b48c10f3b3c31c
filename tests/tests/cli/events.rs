//! `mesh events`: what happened, in order.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use mesh_bus::topology::Stream;
use mesh_tests::{Running, TestServer, World};
use serde_json::{Value, json};

use crate::spoken::Spoken;
use crate::support::Person;
use crate::worker::{SINGLE, TOUR, worker};

/// A world with an orchestrator and a worker that does everything at once.
struct Busy {
    _server: TestServer,
    world: World,
    running: Vec<Running>,
}

impl Busy {
    async fn new() -> Result<Self> {
        let server = TestServer::start()?;
        let world = World::on(&server.url()).await?;
        let orchestrator = world.orchestrator().await?;
        let (agent, gate) = worker(&world).await?;
        gate.open_for_good();
        world.apply(SINGLE).await?;
        world.apply(TOUR).await?;
        Ok(Self { _server: server, world, running: vec![agent, orchestrator] })
    }

    async fn stop(self) -> Result<()> {
        for running in self.running {
            running.stop().await?;
        }
        Ok(())
    }
}

/// The events that a command prints.
async fn events(person: &Person, filters: &[&str]) -> Result<Vec<Value>> {
    let said = person.says(&[&["events", "-o", "json"], filters].concat()).await?.well()?;
    said.lines().map(|line| serde_json::from_str(line).context("a line of JSON")).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}

/// Fails if an event comes before the one that caused it.
fn causes_go_first(events: &[Value]) {
    let all: BTreeSet<&str> = events.iter().filter_map(|event| event["id"].as_str()).collect();
    let mut seen = BTreeSet::new();
    let mut caused = 0;
    for event in events {
        if let Some(cause) = event["causationid"].as_str().filter(|cause| all.contains(cause)) {
            assert!(seen.contains(cause), "{event} comes before its cause");
            caused += 1;
        }
        seen.extend(event["id"].as_str());
    }
    assert!(caused * 2 > events.len(), "only {caused} of {} events have a cause among them", events.len());
}

#[tokio::test]
async fn an_event_never_precedes_what_caused_it() -> Result<()> {
    let busy = Busy::new().await?;
    let person = Person::of(&busy.world)?;
    let mut following = Spoken::on_stdout(&person, &["events", "--follow", "-o", "json"])?;
    let runs: Vec<_> =
        futures::future::try_join_all((0..20).map(|_| busy.world.start("tour", json!({})))).await?;
    // Some of them are under way while the log is read.
    let early = events(&person, &[]).await?;
    for run in &runs {
        busy.world.ended(*run).await?;
    }
    // Notes are not waited for by anybody else.
    let mut assigned = 0;
    let all = |_: &mesh_schemas::StoredMessage| {
        assigned += 1;
        assigned == 4 * runs.len()
    };
    busy.world.until(Stream::Notes, "task.assigned.>", all).await?;
    let late = events(&person, &[]).await?;
    // A run: its start and its end; four attempts created, assigned and ended; a timer.
    assert_eq!(types(&late).iter().filter(|name| **name != "agent.registered").count(), 20 * (2 + 4 * 3 + 1));
    causes_go_first(&late);
    let ids =
        |events: &[Value]| -> Vec<String> { events.iter().map(|event| event["id"].to_string()).collect() };
    assert_eq!(ids(&early), ids(&late)[..early.len()], "what was read early is the beginning of it all");
    let mut followed = Vec::new();
    while followed.len() < late.len() {
        followed.push(serde_json::from_str::<Value>(&following.line().await?)?);
    }
    causes_go_first(&followed);
    assert_eq!(ids(&followed).into_iter().collect::<BTreeSet<_>>(), ids(&late).into_iter().collect());
    busy.stop().await
}

#[tokio::test]
async fn events_are_filtered() -> Result<()> {
    let busy = Busy::new().await?;
    let world = &busy.world;
    let person = Person::of(world)?;
    let tour = world.start("tour", json!({})).await?;
    world.ended(tour).await?;
    let single = world.start("single", json!({})).await?;
    world.ended(single).await?;
    let request = world.request("singel", "1", json!({}))?;
    let rejected = mesh_bus::submit(&*world.bus, &request).await?.to_string();
    world.first(Stream::Notes, "request.rejected.>").await?;
    for run in [tour, single] {
        // Notes are not waited for by anybody else.
        world.first(Stream::Notes, &format!("task.assigned.*.*.{run}.>")).await?;
    }
    let single = single.to_string();

    let one = events(&person, &["--run", &single]).await?;
    let whole = ["workflow.started", "task.created", "task.assigned", "task.completed", "workflow.completed"];
    assert_eq!(types(&one).into_iter().collect::<BTreeSet<_>>(), whole.into());
    assert!(one.iter().all(|event| event["id"].as_str().is_some_and(|id| id.contains(&single))), "{one:?}");
    assert_eq!(types(&events(&person, &["--run", &rejected]).await?), ["request.rejected"]);
    assert_eq!(events(&person, &["--workflow", "single"]).await?, one);
    assert_eq!(types(&events(&person, &["--workflow", "singel"]).await?), ["request.rejected"]);
    let ends = events(&person, &["--type", "workflow.completed", "--type", "task.failed"]).await?;
    assert_eq!(types(&ends), ["task.failed", "task.failed", "workflow.completed", "workflow.completed"]);
    let tasks = events(&person, &["--type", "task.*", "--workflow", "single"]).await?;
    assert_eq!(types(&tasks).into_iter().collect::<BTreeSet<_>>(), whole[1..4].iter().copied().collect());
    let newest = events(&person, &["--limit", "2", "--type", "workflow.*"]).await?;
    assert_eq!(types(&newest), ["workflow.started", "workflow.completed"]);
    let started = world.first(Stream::Events, &format!("workflow.started.single.-.{single}")).await?;
    let since = events(&person, &["--since", &started.time.to_rfc3339(), "--type", "workflow.*"]).await?;
    assert_eq!(since, newest);
    assert_eq!(events(&person, &["--since", "1h"]).await?, events(&person, &[]).await?);
    let none = person.says(&["events", "--run", &single, "--type", "agent.*", "--follow"]).await?;
    assert!(none.code == 1 && none.err.contains("belong to no run"), "{none:?}");
    let wrong = person.says(&["events", "--type", "task.compleeted"]).await?;
    assert!(wrong.code == 2 && wrong.err.contains("did you mean task.completed?"), "{wrong:?}");
    busy.stop().await
}

#[tokio::test]
async fn events_are_lines_for_people_and_documents_for_programs() -> Result<()> {
    let busy = Busy::new().await?;
    let world = &busy.world;
    let person = Person::of(world)?;
    let run = world.start("single", json!({"fatal": true})).await?;
    world.ended(run).await?;
    let lines = person.says(&["events", "--run", "@last"]).await?.well()?;
    for line in [
        format!("  workflow.started      {run}  single\n"),
        format!("  task.created          {run}  work #1\n"),
        format!("  task.assigned         {run}  work #1 by worker-1\n"),
        format!("  task.failed           {run}  work #1 by worker-1  broken: it broke\n"),
        format!("  workflow.failed       {run}  single  broken: task 'work' failed: it broke\n"),
    ] {
        assert!(lines.contains(&line), "{line} is not in\n{lines}");
    }
    let stored = world.first(Stream::Events, "workflow.started.>").await?;
    let event = events(&person, &["--type", "workflow.started"]).await?;
    assert_eq!(event, [serde_json::from_slice::<Value>(&stored.message.payload)?], "as it is stored");
    let yaml = person.says(&["events", "--type", "workflow.started", "-o", "yaml"]).await?.well()?;
    assert!(yaml.starts_with("---\n") && yaml.contains("\ntype: workflow.started\n"), "{yaml}");
    busy.stop().await
}

/// What is stored without an envelope, and what cannot be read at all.
#[tokio::test]
async fn whatever_is_stored_is_shown() -> Result<()> {
    let busy = Busy::new().await?;
    let world = &busy.world;
    let person = Person::of(world)?;
    world.apply("{mesh: v1, name: idle, tasks: {wait: {agent: nobody}}}").await?;
    let run = world.start("idle", json!({})).await?;
    world.first(Stream::Tasks, "task.created.nobody.>").await?;
    world.publish(&format!("task.completed.nobody.normal.{run}.wait.1"), r#"{"output": 7}"#).await?;
    world.ended(run).await?;
    let run = run.to_string();
    let bare = events(&person, &["--run", &run, "--type", "task.completed"]).await?;
    let id = format!("{}.task.completed.nobody.normal.{run}.wait.1", world.namespace);
    assert_eq!(bare, [json!({"id": id, "type": "task.completed", "data": {"output": 7}})]);
    let line = person.says(&["events", "--run", &run, "--type", "task.completed"]).await?.well()?;
    assert!(line.ends_with("wait #1\n"), "nobody says that it is from an orchestrator: {line}");
    for (signal, body) in [("odd.1", "no \u{1b}JSON"), ("odd.2", "{\"a\": 1}")] {
        world.publish(&format!("workflow.signalled.idle.-.{run}.{signal}"), body).await?;
    }
    world.publish(&format!("workflow.signalled.idle.-.{run}.odd.3"), vec![0xff, 0xfe]).await?;
    world.until(Stream::Dead, "dead.>", |letter| letter.sequence == 3).await?;
    let letters = events(&person, &["--run", &run, "--type", "dead"]).await?;
    let bodies: Vec<_> =
        letters.iter().map(|letter| letter.get("data").or_else(|| letter.get("data_base64"))).collect();
    for body in [json!("no \u{1b}JSON"), json!({"a": 1}), json!("//4=")] {
        assert!(bodies.contains(&Some(&body)), "{body} is not in {letters:?}");
    }
    let lines = person.says(&["events", "--type", "dead", "--workflow", "idle"]).await?.well()?;
    assert_eq!(lines.matches(&format!("workflow.signalled.idle.-.{run}.odd.")).count(), 3, "{lines}");
    assert!(!lines.contains('\u{1b}'), "{lines}");
    busy.stop().await
}

#[tokio::test]
async fn new_events_are_shown_as_they_come() -> Result<()> {
    let busy = Busy::new().await?;
    let world = &busy.world;
    let person = Person::of(world)?;
    let old = world.start("single", json!({})).await?;
    world.ended(old).await?;
    let filters = ["--type", "workflow.*", "--workflow", "single", "--limit", "1"];
    let mut following = Spoken::on_stdout(&person, &[&["events", "--follow"][..], &filters].concat())?;
    let line = following.line().await?;
    assert!(line.contains("workflow.completed") && line.contains(&old.to_string()), "{line}");
    // Runs of the workflow that began later are known too, and those of others are not shown.
    world.ended(world.start("tour", json!({})).await?).await?;
    let new = world.start("single", json!({})).await?;
    for name in ["workflow.started", "workflow.completed"] {
        let line = following.line().await?;
        assert!(line.contains(name) && line.contains(&new.to_string()), "{line}");
    }
    busy.stop().await
}

#[tokio::test]
async fn following_outlives_the_server() -> Result<()> {
    let mut server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply("{mesh: v1, name: idle, tasks: {wait: {agent: nobody}}}").await?;
    let person = Person::of(&world)?;
    let mut following = Spoken::on_stdout(&person, &["events", "--follow", "--type", "workflow.started"])?;
    let before = world.start("idle", json!({})).await?;
    following.until(&before.to_string()).await?;
    server.restart()?;
    let after = world.start("idle", json!({})).await?;
    let line = following.line().await?;
    assert!(line.contains(&after.to_string()), "{line}");
    orchestrator.stop().await
}
