//! Runs that were archived, and of which in the end nothing is left in the log: commands tell of them what they told before.

use std::time::Duration;

use anyhow::Result;
use mesh_bus::Bus as _;
use mesh_bus::topology::Stream;
use mesh_orchestrator::{Options, Retention};
use mesh_schemas::RunId;
use mesh_tests::{Running, TestServer, World, patiently};
use serde_json::{Value, json};

use crate::support::Person;
use crate::worker::{TOUR, worker};

/// What commands say of a run.
async fn told(person: &Person, run: RunId) -> Result<[Value; 4]> {
    let run = run.to_string();
    let events = person.says(&["events", "--run", &run, "-o", "json"]).await?.well()?;
    let mut events: Vec<Value> = events.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    // Notes are no events of the run, and have no sequence of its log.
    events.retain(|event| event["type"] != "task.assigned");
    let mut shown = person.says(&["runs", "show", &run, "-o", "json"]).await?.json()?;
    shown.as_object_mut().map(|shown| shown.remove("archived"));
    let listed = person.says(&["runs", "list", "-o", "json"]).await?.json()?;
    let watched = person.says(&["runs", "watch", &run, "-o", "json"]).await?.json()?;
    let mut told = [Value::from(events), shown, listed, watched];
    told.iter_mut().for_each(forget_notes);
    Ok(told)
}

/// When an attempt was taken is only noted, and notes go when the run is archived.
fn forget_notes(told: &mut Value) {
    match told {
        Value::Object(members) => {
            members.remove("assigned");
            members.values_mut().for_each(forget_notes);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_notes),
        _ => {}
    }
}

async fn until_left(world: &World, run: RunId, count: usize) -> Result<()> {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let looking = async {
        while world.bus.read_run(&run).await?.events.len() != count {
            looks.tick().await;
        }
        anyhow::Ok(())
    };
    patiently("the run to be archived", looking).await?
}

/// A run of the tour that has ended, and whose orchestrator is gone.
pub(crate) struct Ended {
    _server: TestServer,
    pub(crate) world: World,
    pub(crate) person: Person,
    pub(crate) agent: Running,
    pub(crate) run: RunId,
}

impl Ended {
    pub(crate) async fn new() -> Result<Self> {
        let server = TestServer::start()?;
        let world = World::on(&server.url()).await?;
        let person = Person::of(&world)?;
        let orchestrator = world.orchestrator().await?;
        let (agent, gate) = worker(&world).await?;
        gate.open_for_good();
        world.apply(TOUR).await?;
        let run = world.start("tour", json!({})).await?;
        world.ended(run).await?;
        orchestrator.stop().await?;
        Ok(Self { _server: server, world, person, agent, run })
    }

    /// Has the run archived by an orchestrator that forgets it so many seconds after its end, until so many of its events are left in
    /// the log.
    pub(crate) async fn archive(&self, requests: u64, left: usize) -> Result<()> {
        let retention = Retention { grace: Duration::ZERO, requests: Duration::from_secs(requests) };
        let orchestrator = self.world.orchestrator_with(Options { retention, ..Options::default() }).await?;
        until_left(&self.world, self.run, left).await?;
        orchestrator.stop().await
    }
}

#[tokio::test]
async fn an_archived_run_is_told_of_like_any_other() -> Result<()> {
    let ended = Ended::new().await?;
    let (person, run) = (&ended.person, ended.run);
    let before = told(person, run).await?;
    assert!(before[0].as_array().is_some_and(|events| events.len() > 5), "{:#}", before[0]);

    for (requests, left) in [(60, 2), (1, 0)] {
        ended.archive(requests, left).await?;
        let after = told(person, run).await?;
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before, after, "with {left} events left in the log");
        }
    }
    let shown = person.says(&["runs", "show", "@last"]).await?.well()?;
    assert!(shown.contains("\narchived\n"), "{shown}");
    for (status, is_told) in [("completed", true), ("failed", false), ("running", false)] {
        let listed = person.says(&["runs", "list", "--status", status]).await?.well()?;
        assert_eq!(listed.contains(&run.to_string()), is_told, "{status}: {listed}");
    }
    let begin = run.to_string()[..12].to_owned();
    assert!(person.says(&["runs", "show", &begin]).await?.well()?.contains(&run.to_string()));
    let tour = person.file("tour.yaml", TOUR)?;
    let tested =
        person.says(&["workflow", "test", &tour.to_string_lossy(), "--against", "last:1"]).await?.well()?;
    assert!(tested.contains("1 run: 1 same"), "{tested}");
    ended.agent.stop().await
}

/// The server drops the oldest histories where they are limited, and it may be that of a run whose end is still known.
#[tokio::test]
async fn a_run_whose_history_was_dropped_says_so() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let person = Person::of(&world)?;
    let retention = Retention { grace: Duration::ZERO, requests: Duration::from_secs(3600) };
    let orchestrator = world.orchestrator_with(Options { retention, ..Options::default() }).await?;
    let (agent, gate) = worker(&world).await?;
    gate.open_for_good();
    world.apply(TOUR).await?;
    let run = world.start("tour", json!({})).await?;
    world.ended(run).await?;
    until_left(&world, run, 2).await?;
    let context = async_nats::jetstream::new(async_nats::connect(&world.url).await?);
    context.get_stream(Stream::History.name(&world.namespace)).await?.purge().await?;

    let id = run.to_string();
    let shown = person.says(&["runs", "show", &id, "-o", "json"]).await?.json()?;
    assert_eq!((&shown["status"], &shown["events_gone"]), (&json!("completed"), &json!(true)), "{shown:#}");
    assert_eq!(shown["counts"], json!({"done": 2, "failed": 1, "skipped": 2}), "the end tells: {shown:#}");
    assert_eq!(
        shown["tasks"][0],
        json!({"id": "after", "capability": "work", "status": "unknown"}),
        "{shown:#}"
    );
    let shown = person.says(&["runs", "show", &id]).await?.well()?;
    assert!(shown.contains("only its beginning and its end are known"), "{shown}");
    assert!(!shown.contains("cancelled"), "{shown}");
    let watched = person.says(&["runs", "watch", &id]).await?;
    assert_eq!(watched.code, 0, "{watched:?}");
    assert!(watched.err.contains("only its beginning and its end are known"), "{watched:?}");
    assert!(!watched.err.contains("cancelled"), "{watched:?}");
    let tour = person.file("tour.yaml", TOUR)?;
    let tested = person.says(&["workflow", "test", &tour.to_string_lossy(), "--against", "last:1"]).await?;
    assert_eq!(tested.code, 1, "{tested:?}");
    assert!(
        tested.out.contains("that are kept of run") && tested.out.contains("--history-limit"),
        "{tested:?}"
    );
    agent.stop().await?;
    orchestrator.stop().await
}

/// An end that somebody wrote is an end of a run whose events are there.
#[tokio::test]
async fn a_run_that_somebody_else_ended_is_told_as_it_was() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let person = Person::of(&world)?;
    let orchestrator = world.orchestrator().await?;
    let (agent, _gate) = worker(&world).await?;
    world.apply(TOUR).await?;
    let run = world.start("tour", json!({})).await?;
    world.first(Stream::Tasks, "task.created.>").await?;
    let end = json!({"duration_ms": 1, "tasks": {"done": 0, "failed": 0, "skipped": 0, "cancelled": 5}});
    world.publish(&format!("workflow.cancelled.tour.-.{run}"), end.to_string()).await?;
    world.ended(run).await?;
    let shown = person.says(&["runs", "show", &run.to_string(), "-o", "json"]).await?.json()?;
    assert_eq!((&shown["status"], &shown["events_gone"]), (&json!("cancelled"), &Value::Null), "{shown:#}");
    assert_eq!(shown["counts"], json!({"cancelled": 5}), "{shown:#}");
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn an_end_that_cannot_be_read_makes_no_run() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    world.orchestrator().await?.stop().await?;
    let run = world.run_of(&world.request("tour", "forgotten", json!({}))?).await?;
    world.publish(&format!("workflow.failed.tour.-.{run}"), "{}").await?;
    let said = Person::of(&world)?.says(&["runs", "show", &run.to_string()]).await?;
    assert!(said.code == 1 && said.err.contains(&format!("the log has no run {run}")), "{said:?}");
    Ok(())
}
