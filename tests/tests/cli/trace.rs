//! `mesh trace`: the course of a run, while it is under way, when it has ended, and when it is archived.

use anyhow::{Context as _, Result};
use mesh_bus::topology::Stream;
use mesh_schemas::{Attempt, RunId, SpanId, TaskId};
use mesh_tests::{TestServer, World};
use serde_json::{Value, json};

use crate::archived::Ended;
use crate::support::Person;
use crate::worker::{SINGLE, TOUR, worker};

const IDLE: &str =
    "{mesh: v1, name: idle, tasks: {wait: {agent: nobody}, after: {agent: nobody, needs: [wait]}}}";

const OUTER: &str =
    "{mesh: v1, name: outer, tasks: {sub: {workflow: single, with: {}}, last: {agent: work, needs: [sub]}}}";

/// The line of a task, with one space between words.
fn line(shown: &str, begins: &str) -> Result<String> {
    let mut lines = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines
        .find(|line| line.starts_with(begins))
        .with_context(|| format!("no line begins with '{begins}' in\n{shown}"))
}

fn spans(exported: &Value) -> Result<&Vec<Value>> {
    exported["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().context("spans")
}

#[tokio::test]
async fn a_run_is_shown_while_it_is_under_way_and_afterwards() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    world.apply(TOUR).await?;
    let person = Person::of(&world)?;
    let run = world.start("tour", json!({})).await?;
    let id = run.to_string();
    world.first(Stream::Notes, &format!("task.assigned.*.*.{run}.fetch.1.1")).await?;
    let shown = person.says(&["trace", &id]).await?.well()?;
    assert!(shown.lines().next().is_some_and(|line| line.contains("  tour  running for ")), "{shown}");
    assert!(line(&shown, "* fetch")?.contains("with agent worker-1 for "), "{shown}");
    assert!(line(&shown, "load")?.ends_with("pending, needs fetch"), "{shown}");
    assert!(line(&shown, "→ task 'fetch': with agent worker-1 for").is_ok(), "{shown}");

    gate.open_for_good();
    world.ended(run).await?;
    let shown = person.says(&["trace", "@last"]).await?.well()?;
    assert!(shown.lines().next().is_some_and(|line| line.contains("  tour  completed in ")), "{shown}");
    assert!(line(&shown, "critical path")?.contains("pauses before retries"), "{shown}");
    assert!(line(&shown, "* fetch")?.ends_with("completed by worker-1"), "{shown}");
    assert!(line(&shown, "* load")?.ends_with("completed after 2 attempts"), "{shown}");
    assert!(line(&shown, "* ├ #1")?.contains("failed by worker-1: flaky: not yet; again after "), "{shown}");
    assert!(line(&shown, "maybe")?.ends_with("skipped"), "{shown}");
    assert!(shown.contains('█') && !shown.contains('\u{1b}'), "{shown}");

    let told = person.says(&["trace", &id, "-o", "json"]).await?.json()?;
    let path = &told["critical_path"];
    let of_steps: u64 =
        path["steps"].as_array().context("steps")?.iter().filter_map(|step| step["ms"].as_u64()).sum();
    assert_eq!(path["total_ms"], of_steps);
    assert_eq!(told["duration_ms"], path["total_ms"], "{told:#}");
    let tasks = told["tasks"].as_array().context("tasks")?;
    let load = tasks.iter().find(|task| task["id"] == "load").context("load")?;
    assert_eq!(load["attempts"][0]["error"]["code"], "flaky");
    assert_eq!(load["attempts"][1]["outcome"], "completed");

    person.says(&["trace", &id, "--otlp", "spans.json"]).await?.well()?;
    let exported: Value = serde_json::from_str(&std::fs::read_to_string(person.home().join("spans.json"))?)?;
    let printed = person.says(&["trace", &id, "--otlp", "-"]).await?.json()?;
    assert_eq!(exported, printed);
    let spans = spans(&exported)?;
    assert_eq!(spans[0]["spanId"], SpanId::of_run(&run).to_string());
    let second = SpanId::of_attempt(&run, &TaskId::new("load")?, Attempt::FIRST.next()).to_string();
    let second = spans.iter().find(|span| span["spanId"] == second.as_str()).context("the second attempt")?;
    assert_eq!(second["parentSpanId"], SpanId::of_run(&run).to_string());
    let end = SpanId::of_end(&run).to_string();
    assert!(spans.iter().any(|span| span["spanId"] == end.as_str()), "{exported:#}");
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_run_that_hangs_says_what_it_waits_for() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(IDLE).await?;
    let person = Person::of(&world)?;
    let run = world.start("idle", json!({})).await?;
    world.first(Stream::Tasks, &format!("task.created.*.*.{run}.wait.1")).await?;
    let shown = person.says(&["trace", "@last"]).await?.well()?;
    let waits = line(&shown, "→ task 'wait': waiting ")?;
    assert!(
        waits.ends_with("for an agent with capability 'nobody', which no agent that is alive has: start one"),
        "{shown}"
    );
    assert!(line(&shown, "after")?.ends_with("pending, needs wait"), "{shown}");

    person.says(&["runs", "pause", "@last", "--reason", "for lunch"]).await?.well()?;
    world.first(Stream::Events, &format!("workflow.paused.*.*.{run}.1")).await?;
    let shown = person.says(&["trace", "@last"]).await?.well()?;
    assert!(
        line(&shown, "→ paused for ")?.contains(&format!("`mesh runs resume {run}` has it go on")),
        "{shown}"
    );

    let nobody: RunId = "0.00000000-0000-5000-8000-000000000000".parse()?;
    let unknown = person.says(&["trace", &nobody.to_string()]).await?;
    assert!(unknown.code == 1 && unknown.err.contains("error[MESH-403]: the log has no run"), "{unknown:?}");
    orchestrator.stop().await
}

#[tokio::test]
async fn the_runs_that_a_run_started_are_told_within_it() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    world.apply(SINGLE).await?;
    world.apply(OUTER).await?;
    let person = Person::of(&world)?;
    let run = world.start("outer", json!({})).await?;
    let id = run.to_string();
    world.first(Stream::Notes, "task.assigned.*.*.*.*.work.1.1").await?;
    let shown = person.says(&["trace", &id]).await?.well()?;
    assert!(line(&shown, "* sub")?.contains("waiting "), "{shown}");
    assert!(line(&shown, "* └ work")?.contains("with agent worker-1 for "), "{shown}");

    gate.open_for_good();
    world.ended(run).await?;
    let shown = person.says(&["trace", &id]).await?.well()?;
    assert!(line(&shown, "* └ run ")?.ends_with(" completed, single"), "{shown}");
    assert!(line(&shown, "* └ work")?.ends_with("completed by worker-1"), "{shown}");
    let path = shown.lines().find(|line| line.contains("(run ")).context("the path")?;
    assert!(path.contains("work (run ") && path.contains(" → last "), "{shown}");

    let exported = person.says(&["trace", &id, "--otlp", "-"]).await?.json()?;
    let sub = SpanId::of_attempt(&run, &TaskId::new("sub")?, Attempt::FIRST).to_string();
    let within =
        spans(&exported)?.iter().find(|span| span["parentSpanId"] == sub.as_str()).context("the child")?;
    assert_eq!(within["traceId"], run.trace_id());
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn an_archived_run_is_told_by_its_history() -> Result<()> {
    let ended = Ended::new().await?;
    let (person, id) = (&ended.person, ended.run.to_string());
    let outcomes = |told: &Value| -> Vec<Value> {
        let attempts = told["tasks"].as_array().into_iter().flatten();
        attempts
            .map(|task| json!([task["id"], task["status"], task["attempts"].as_array().map(Vec::len)]))
            .collect()
    };
    let before = person.says(&["trace", &id, "-o", "json"]).await?.json()?;
    for (requests, left) in [(60, 2), (1, 0)] {
        ended.archive(requests, left).await?;
        let after = person.says(&["trace", &id, "-o", "json"]).await?.json()?;
        assert_eq!(outcomes(&before), outcomes(&after), "with {left} events left in the log");
        assert_eq!(before["duration_ms"], after["duration_ms"]);
        assert!(after["critical_path"]["by_kind"]["wait_or_work"].as_u64() > Some(0), "{after:#}");
    }
    ended.agent.stop().await
}
