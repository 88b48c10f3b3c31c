//! `mesh stats`: figures over the runs of a workflow.

use anyhow::Result;
use mesh_tests::{TestServer, World};
use serde_json::{Value, json};

use crate::archived::Ended;
use crate::support::Person;
use crate::worker::{SINGLE, worker};

#[tokio::test]
async fn runs_and_tasks_are_counted_and_what_stands_out_is_told() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    world.apply(SINGLE).await?;
    let person = Person::of(&world)?;
    let none = person.says(&["stats", "single"]).await?.well()?;
    assert!(none.contains("\nruns      0\n"), "{none}");
    let unknown = person.says(&["stats", "singel"]).await?;
    assert!(unknown.code == 1 && unknown.err.contains("did you mean 'single'?"), "{unknown:?}");

    gate.open_for_good();
    for input in [json!({}), json!({}), json!({}), json!({"fail_first": 1}), json!({"fatal": true})] {
        world.run("single", input).await?;
    }
    let told = person.says(&["stats", "single", "-o", "json"]).await?.json()?;
    let runs = &told["runs"];
    assert_eq!((&runs["started"], &runs["completed"], &runs["failed"]), (&json!(5), &json!(4), &json!(1)));
    assert_eq!(runs["failures"], json!({"broken": 1}));
    assert_eq!(told["duration"]["count"], 4);
    let work = &told["tasks"]["work"];
    assert_eq!((&work["attempts"], &work["retries"], &work["failed"]), (&json!(6), &json!(1), &json!(2)));
    assert_eq!(work["failures"], json!({"broken": 1, "flaky": 1}));
    assert_eq!(work["wait"]["count"], 6);
    let about: Vec<&Value> =
        told["insights"].as_array().into_iter().flatten().map(|found| &found["about"]).collect();
    assert_eq!(about, ["success", "failing_task", "retries"], "{told:#}");

    let shown = person.says(&["stats", "single"]).await?.well()?;
    assert!(shown.contains("runs      5: 4 completed, 1 failed\n"), "{shown}");
    assert!(shown.contains("! 1 of 5 runs failed (80.0% went well), most often with `broken`"), "{shown}");
    assert!(shown.contains("  → `mesh runs list --workflow single --status failed` names them"), "{shown}");
    let some = person.says(&["stats", "single", "--limit", "2", "-o", "json"]).await?;
    assert_eq!(some.err, "these are the newest 2 of 5 runs: --limit N looks at more, --since at fewer\n");
    assert_eq!(some.json()?["runs"]["started"], 2);
    let later =
        person.says(&["stats", "single", "--since", "2999-01-01T00:00:00Z", "-o", "json"]).await?.json()?;
    assert_eq!(later["runs"]["started"], 0);
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn archived_runs_are_counted_too() -> Result<()> {
    let ended = Ended::new().await?;
    let told = async || ended.person.says(&["stats", "tour", "-o", "json"]).await?.json();
    let before = told().await?;
    assert_eq!(before["runs"]["completed"], 1);
    for (requests, left) in [(60, 2), (1, 0)] {
        ended.archive(requests, left).await?;
        let after = told().await?;
        assert_eq!(before["runs"], after["runs"], "with {left} events left in the log");
        assert_eq!(before["duration"], after["duration"]);
        assert_eq!(after["tasks"]["load"]["retries"], 1);
    }
    ended.agent.stop().await
}
