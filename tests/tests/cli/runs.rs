//! `mesh runs`: finding runs, looking at them, and ending them.

use std::time::Duration;

use anyhow::{Context as _, Result};
use mesh_agents::{Agent, TaskFailure};
use mesh_bus::topology::Stream;
use mesh_orchestrator::{Options, Retention};
use mesh_schemas::{RunId, Subject};
use mesh_tests::{TestServer, World};
use serde_json::{Value, json};

use crate::spoken::normal;
use crate::support::Person;
use crate::worker::{SINGLE, TOUR, worker};

const IDLE: &str =
    "{mesh: v1, name: idle, tasks: {wait: {agent: nobody}, after: {agent: nobody, needs: [wait]}}}";

/// The ids in a list of runs, in its order.
fn ids(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|run| run["run"].as_str()).collect()
}

#[tokio::test]
async fn runs_are_listed_by_workflow_status_and_time() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    gate.open_for_good();
    world.apply(SINGLE).await?;
    world.apply(IDLE).await?;
    let person = Person::of(&world)?;
    let mut started = Vec::new();
    for (workflow, input) in [("single", json!({})), ("single", json!({"fatal": true})), ("idle", json!({}))]
    {
        let run = world.start(workflow, input).await?;
        world.first(Stream::Events, &format!("workflow.started.*.-.{run}")).await?;
        started.push(run.to_string());
    }
    world.ended(started[0].parse()?).await?;
    world.ended(started[1].parse()?).await?;
    let called = person.says(&["call", "work", "1"]).await?;
    assert_eq!(called.json()?, json!(1));

    let list = person.says(&["runs", "list", "-o", "json"]).await?.json()?;
    assert_eq!(ids(&list)[..3], started.iter().map(String::as_str).collect::<Vec<_>>()[..]);
    let told: Vec<_> =
        list.as_array().context("a list")?.iter().map(|run| [&run["workflow"], &run["status"]]).collect();
    assert_eq!(
        told,
        [
            [&json!("single"), &json!("completed")],
            [&json!("single"), &json!("failed")],
            [&json!("idle"), &json!("running")],
            [&Value::Null, &json!("completed")],
        ]
    );
    assert_eq!((&list[1]["error"]["code"], &list[3]["capability"]), (&json!("broken"), &json!("work")));
    let moment = list[1]["started"].as_str().context("a time")?;
    let cases: [(&[&str], Vec<&str>); 8] = [
        (&["--workflow", "idle"], vec![&started[2]]),
        (&["--status", "failed"], vec![&started[1]]),
        (&["--status", "running"], vec![&started[2]]),
        (&["--status", "cancelled"], vec![]),
        (&["--workflow", "single", "--limit", "1"], vec![&started[1]]),
        (&["--since", "1h", "--workflow", "single"], vec![&started[0], &started[1]]),
        (&["--since", moment, "--workflow", "single"], vec![&started[1]]),
        (&["--since", "2999-01-01T00:00:00Z"], vec![]),
    ];
    for (filter, expected) in cases {
        let said = person.says(&[&["runs", "list", "-o", "json"], filter].concat()).await?;
        assert_eq!(ids(&said.json()?), expected, "{filter:?}");
    }
    let said = person.says(&["runs", "list", "--limit", "2"]).await?;
    assert_eq!(said.err, "these are the newest 2 of 4 runs: --limit N or --all shows more\n");
    let table = said.well()?;
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines.len() == 3
            && lines[1].contains("  idle       running    ")
            && lines[2].contains("  call work  "),
        "{table}"
    );
    for (wrong, expected) in [
        (["--since", "yesterday"], "write how long ago, such as 10s, 5m or 24h"),
        (["--status", "done"], "possible values: running, paused, completed, failed, cancelled"),
    ] {
        let said = person.says(&["runs", "list", wrong[0], wrong[1]]).await?;
        assert!(said.code == 2 && said.err.contains(expected), "{said:?}");
    }
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn the_newest_fifty_are_listed_unless_all_are_wanted() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(IDLE).await?;
    let mut last = None;
    for _ in 0..52 {
        let run = world.start("idle", json!({})).await?;
        world.first(Stream::Events, &format!("workflow.started.idle.-.{run}")).await?;
        last = Some(run.to_string());
    }
    let person = Person::of(&world)?;
    let said = person.says(&["runs", "list", "-o", "json"]).await?;
    assert_eq!(said.err, "these are the newest 50 of 52 runs: --limit N or --all shows more\n");
    let list = said.json()?;
    assert_eq!((ids(&list).len(), ids(&list).last().copied()), (50, last.as_deref()));
    let said = person.says(&["runs", "list", "-o", "json", "--all"]).await?;
    assert_eq!(said.err, "");
    assert_eq!(ids(&said.json()?).len(), 52);
    orchestrator.stop().await
}

#[tokio::test]
async fn a_run_is_shown_with_all_its_tasks() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    gate.open_for_good();
    world.apply(TOUR).await?;
    let person = Person::of(&world)?;
    person.says(&["start", "tour", "--wait"]).await?.well()?;
    let table = normal(&person.says(&["runs", "show", "@last"]).await?.well()?);
    let rows: Vec<String> =
        table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(rows[0], "RUN tour completed");
    assert_eq!(rows[3..5], ["input {}", "output {\"fail_first\":1}"], "{table}");
    assert_eq!(
        rows[6..],
        [
            "TASK CAPABILITY STATUS ATTEMPT AGENT STARTED TOOK NOTE",
            "after work skipped",
            "fetch work done 1 worker-1 TIME DURATION",
            "load work done 2 worker-1 TIME DURATION",
            "maybe work skipped",
            "risky work failed 1 worker-1 TIME DURATION broken: it broke",
        ]
    );
    let shown = person.says(&["runs", "show", "@last", "-o", "json"]).await?.json()?;
    let load = &shown["tasks"][2];
    assert_eq!(
        (&load["id"], &load["agent"], &load["attempt"]),
        (&json!("load"), &json!("worker-1"), &json!(2))
    );
    let attempts = load["attempts"].as_array().context("attempts")?;
    assert_eq!(attempts[0]["error"], json!({"code": "flaky", "message": "not yet", "retryable": true}));
    assert_eq!(
        (&attempts[1]["input"], &attempts[1]["result"]),
        (&json!({"fail_first": 1}), &json!({"fail_first": 1}))
    );
    assert_eq!(shown["output"], json!({"fail_first": 1}));
    assert!(load["duration_ms"].as_u64() >= attempts[1]["duration_ms"].as_u64());
    for member in
        ["started", "ended", "duration_ms", "deadline", "digest", "request", "correlation_id", "input"]
    {
        assert!(!shown[member].is_null(), "{member} is not in {shown}");
    }
    let yaml = person.says(&["runs", "show", "@last", "-o", "yaml"]).await?.well()?;
    assert!(yaml.contains("status: completed\n"), "{yaml}");
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn what_a_task_waits_for_is_shown() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    let waiting = "
mesh: v1
name: waiting
tasks:
  alone: {agent: nobody}
  taken: {agent: work}
  failed: {agent: flaky, retry: {initial: 1h, max: 1h}}
  later: {agent: work, needs: [alone, taken]}
";
    world.apply(waiting).await?;
    let fail = |_: mesh_agents::Context, _: Value| async {
        Err::<(), _>(TaskFailure::retryable("flaky", "not yet"))
    };
    let flaky = world.agent(Agent::builder("flaky").capability("flaky", fail)).await?;
    let run = world.start("waiting", json!({})).await?;
    world.first(Stream::Events, &format!("task.failed.flaky.normal.{run}.failed.1")).await?;
    world.first(Stream::Notes, &format!("task.assigned.work.normal.{run}.taken.1.*")).await?;
    let person = Person::of(&world)?;
    let shown = person.says(&["runs", "show", "@last", "-o", "json"]).await?.json()?;
    let task = |id: &str| -> Result<Value> {
        let tasks = shown["tasks"].as_array().context("tasks")?;
        tasks.iter().find(|task| task["id"] == id).cloned().with_context(|| format!("no task {id}"))
    };
    assert_eq!(task("alone")?["waiting"], json!({"agent": "by_nobody"}));
    assert_eq!(task("later")?["waiting"], json!({"needs": ["alone", "taken"]}));
    assert!(
        task("failed")?["waiting"]["retry_at"].is_string() && task("failed")?["status"] == "retrying",
        "{shown}"
    );
    assert_eq!((&task("taken")?["agent"], &task("taken")?["waiting"]), (&json!("worker-1"), &Value::Null));
    let table = person.says(&["runs", "show", "@last"]).await?.well()?;
    for note in ["no agent is registered for 'nobody'", "needs alone, taken", "flaky: not yet; again at "] {
        assert!(table.contains(note), "{note} is not in\n{table}");
    }
    gate.open_for_good();
    flaky.stop().await?;
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn runs_that_belong_together_name_each_other() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let retention = Retention { grace: Duration::ZERO, requests: Duration::from_secs(60) };
    let orchestrator = world.orchestrator_with(Options { retention, ..Options::default() }).await?;
    let (agent, gate) = worker(&world).await?;
    world.apply(SINGLE).await?;
    world.apply("{mesh: v1, name: outer, tasks: {child: {workflow: single}}}").await?;
    let run = world.start("outer", json!({})).await?;
    let begun = world.first(Stream::Events, "workflow.started.single.>").await?;
    let child = Subject::parse(&world.namespace, &begun.message.subject)?.run().context("a run")?;
    let person = Person::of(&world)?;
    let show = async |run: RunId| person.says(&["runs", "show", &run.to_string()]).await?.well();
    let table = show(run).await?;
    let row = format!("child  workflow single  active  1        run {child}  ");
    assert!(table.contains(&row) && table.contains("waits for its run to end"), "{table}");
    let line = format!("\nfor      task 'child' of run {run} (outer), attempt 1\n");
    assert!(show(child).await?.contains(&line), "{}", show(child).await?);
    gate.open_for_good();
    world.ended(run).await?;
    for run in [run, child] {
        world.first(Stream::History, &format!("history.*.*.{run}")).await?;
    }
    let table = show(run).await?;
    assert!(table.contains("\narchived\n") && table.contains(&format!("run {child}")), "{table}");
    assert!(show(child).await?.contains(&line), "{}", show(child).await?);
    let told = person.says(&["runs", "show", &run.to_string(), "-o", "json"]).await?.json()?;
    let task = &told["tasks"][0];
    assert_eq!(
        (&task["workflow"], &task["run"], &task["attempts"][0]["run"]),
        (&json!("single"), &json!(child), &json!(child))
    );
    let told = person.says(&["runs", "show", &child.to_string(), "-o", "json"]).await?.json()?;
    assert_eq!((&told["parent"]["run"], &told["parent"]["task"]), (&json!(run), &json!("child")));
    let watched = person.says(&["runs", "watch", &run.to_string()]).await?;
    assert!(watched.err.contains(&format!("by run {child}")), "{watched:?}");
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_run_is_named_by_what_nobody_else_has() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(IDLE).await?;
    let person = Person::of(&world)?;
    let none = person.says(&["runs", "show", "@last"]).await?;
    assert!(none.code == 1 && none.err.contains("there are no runs yet"), "{none:?}");
    // By the pigeonhole, two of seventeen ids begin alike.
    let mut runs: Vec<RunId> = Vec::new();
    for _ in 0..17 {
        let run = world.start("idle", json!({})).await?;
        world.first(Stream::Events, &format!("workflow.started.idle.-.{run}")).await?;
        runs.push(run);
    }
    let shown = async |run: &str| person.says(&["runs", "show", run, "-o", "json"]).await;
    let last = runs.last().context("a run")?.to_string();
    assert_eq!(shown("@last").await?.json()?["run"], json!(last));
    let uuid = runs[0].uuid().to_string();
    assert_eq!(shown(&uuid[..13].to_uppercase()).await?.json()?["run"], json!(runs[0].to_string()));
    assert_eq!(shown(&runs[0].to_string()[..12]).await?.json()?["run"], json!(runs[0].to_string()));
    let is_shared =
        |first: &char| runs.iter().filter(|run| run.uuid().to_string().starts_with(*first)).count() > 1;
    let shared = "0123456789abcdef".chars().find(is_shared).context("two of seventeen begin alike")?;
    let several = shown(&shared.to_string()).await?;
    assert!(
        several.code == 1 && several.err.contains(&format!("runs begin with '{shared}': ")),
        "{several:?}"
    );
    let nobody = shown("ffffffff-ffff").await?;
    assert!(nobody.code == 1 && nobody.err.contains("no run begins with 'ffffffff-ffff'"), "{nobody:?}");
    let wrong = shown("order-1").await?;
    assert!(wrong.code == 2 && wrong.err.contains("write a run id"), "{wrong:?}");
    orchestrator.stop().await
}

#[tokio::test]
async fn runs_are_cancelled_with_a_reason() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(IDLE).await?;
    let person = Person::of(&world)?;
    let mut runs = Vec::new();
    for _ in 0..2 {
        runs.push(person.says(&["start", "idle"]).await?.well()?.trim().to_owned());
    }
    let said =
        person.says(&["runs", "cancel", &runs[0], &runs[1], "--reason", "not needed", "--wait"]).await?;
    assert_eq!(said.well()?, format!("run {} was cancelled\nrun {} was cancelled\n", runs[0], runs[1]));
    let shown = person.says(&["runs", "show", &runs[1], "-o", "json"]).await?.json()?;
    assert_eq!((&shown["status"], &shown["reason"]), (&json!("cancelled"), &json!("not needed")));
    let signal = world.first(Stream::Events, "workflow.signalled.idle.>").await?;
    let signal: Value = serde_json::from_slice(&signal.message.payload)?;
    assert_eq!(
        (&signal["type"], &signal["source"]),
        (&json!("workflow.signalled"), &json!(format!("/{}/cli", world.namespace)))
    );

    // Asked for again, it is what was wanted; nothing more is stored.
    let again = person.says(&["runs", "cancel", &runs[0], "-o", "json"]).await?;
    assert_eq!(again.json()?, json!({"run": runs[0], "result": "already_cancelled"}));
    assert_eq!(world.stored(Stream::Events, "workflow.signalled.>").await?.len(), 2);

    // Right after it was asked for, a run may not have begun.
    let run = world.start("idle", json!({})).await?;
    let said = person.says(&["run", "cancel", &run.to_string()]).await?;
    assert_eq!(said.well()?, format!("run {run} is asked to end\n"));
    assert!(matches!(world.ended(run).await?, mesh_bus::RunOutcome::Cancelled(_)));
    orchestrator.stop().await
}

#[tokio::test]
async fn what_cannot_be_cancelled_is_told() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    gate.open_for_good();
    world.apply(SINGLE).await?;
    world.apply(IDLE).await?;
    let person = Person::of(&world)?;
    person.says(&["start", "single", "--wait"]).await?.well()?;
    let said = person.says(&["runs", "cancel", "@last"]).await?;
    assert!(said.code == 1 && said.out.ends_with(" completed before it could be cancelled\n"), "{said:?}");
    // One that is not there, and nothing is done to the others.
    let idle = person.says(&["start", "idle"]).await?.well()?;
    let unknown = world.run_of(&world.request("single", "never submitted", json!({}))?).await?;
    let said = person.says(&["runs", "cancel", idle.trim(), &unknown.to_string()]).await?;
    assert!(said.code == 1 && said.err.contains(&format!("the log has no run {unknown}")), "{said:?}");
    assert_eq!(world.stored(Stream::Events, "workflow.signalled.>").await?.len(), 0);
    // One whose request was rejected.
    let request = world.request("unheard-of", "1", json!({}))?;
    mesh_bus::submit(&*world.bus, &request).await?;
    world.first(Stream::Notes, "request.rejected.>").await?;
    let run = world.run_of(&request).await?.to_string();
    for command in [["runs", "cancel", &run], ["runs", "show", &run]] {
        let said = person.says(&command).await?;
        assert!(said.code == 1 && said.err.contains("no workflow 'unheard-of' is registered"), "{said:?}");
    }
    assert_eq!(person.says(&["runs", "watch", &run]).await?.code, 3);
    agent.stop().await?;
    orchestrator.stop().await
}

const CAREFUL: &str = "{mesh: v1, name: careful, recovery: pause, output: '${tasks.last.output}', tasks: {first: {agent: picky, with: \
                       '${input}'}, last: {agent: picky, needs: [first], pause_before: true, with: '${tasks.first.output}'}}}";

#[tokio::test]
async fn runs_are_paused_resumed_and_tried_again() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let picky = |_: mesh_agents::Context, input: Value| async move {
        if input == json!("bad") { Err(TaskFailure::fatal("bad", "give me another")) } else { Ok(input) }
    };
    let agent = world.agent(Agent::builder("able").capability("picky", picky)).await?;
    world.apply(CAREFUL).await?;
    let person = Person::of(&world)?;
    let run = person.says(&["start", "careful", "--input", "\"bad\""]).await?.well()?.trim().to_owned();
    world.first(Stream::Events, &format!("workflow.paused.careful.-.{run}.1")).await?;

    let shown = person.says(&["runs", "show", &run]).await?.well()?;
    assert!(shown.contains("  careful  paused\n"), "{shown}");
    assert!(shown.contains("paused   task 'first' failed: give me another (bad)\n"), "{shown}");
    let listed = person.says(&["runs", "list", "--status", "paused", "-o", "json"]).await?.json()?;
    assert_eq!(ids(&listed), [run.as_str()]);
    assert_eq!(
        person.says(&["runs", "pause", &run]).await?.well()?,
        format!("run {run} is paused already\n")
    );
    let refused = person.says(&["runs", "retry", &run, "--task", "last"]).await?;
    assert!(refused.code == 1 && refused.err.contains("task 'last' of run"), "{refused:?}");

    let retry = ["runs", "retry", &run, "--task", "first", "--input", "\"good\"", "-o", "json"];
    assert_eq!(person.says(&retry).await?.json()?, json!({"run": run, "result": "requested"}));
    world.first(Stream::Events, &format!("workflow.paused.careful.-.{run}.2")).await?;
    let shown = person.says(&["runs", "show", &run]).await?.well()?;
    assert!(shown.contains("paused   before task 'last'\n") && shown.contains("held"), "{shown}");
    assert_eq!(
        person.says(&["runs", "resume", &run]).await?.well()?,
        format!("run {run} is asked to go on\n")
    );
    world.ended(run.parse()?).await?;
    let over = person.says(&["runs", "resume", &run]).await?;
    assert!(over.code == 1 && over.err.contains("is over"), "{over:?}");
    agent.stop().await?;
    orchestrator.stop().await
}
