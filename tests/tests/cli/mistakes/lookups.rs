//! Things that are asked for and are not there.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use mesh_bus::RunOutcome;
use mesh_bus::topology::Stream;
use mesh_tests::{TestServer, World};
use serde_json::json;

use super::transcript::Transcript;
use crate::agents::registered;
use crate::support::Person;
use crate::worker::{SINGLE, worker};

#[tokio::test]
async fn lookups() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    gate.open_for_good();
    registered(&world, "worker-1").await?;
    let person = Person::of(&world)?;
    let mut transcript = Transcript::of("lookups", &world);
    transcript.tries("the last of no runs", &person, &["runs", "show", "@last"]).await?;
    transcript.tries("the course of no run", &person, &["trace", "@last"]).await?;
    transcript.tries("figures over a workflow of none", &person, &["stats", "single"]).await?;
    transcript.tries("a dead letter of none", &person, &["dead", "show", "1"]).await?;
    transcript.tries("a workflow of none", &person, &["workflow", "show", "single"]).await?;
    world.apply(SINGLE).await?;

    // Runs until two begin with the same digit, by their shard or by their UUID.
    let mut beginnings: BTreeMap<char, u32> = BTreeMap::new();
    let mut first = None;
    let twice = loop {
        let run = world.start("single", json!(1)).await?;
        first.get_or_insert(run);
        ensure!(matches!(world.ended(run).await?, RunOutcome::Completed(_)), "it completes");
        let digits: BTreeSet<char> =
            [run.to_string(), run.uuid().to_string()].iter().filter_map(|id| id.chars().next()).collect();
        digits.into_iter().for_each(|digit| *beginnings.entry(digit).or_default() += 1);
        if let Some((digit, _)) = beginnings.iter().find(|(_, runs)| **runs == 2) {
            break digit.to_string();
        }
    };
    let first = first.context("a run")?;
    let prefix = ["runs", "show", &twice];
    let rejected = world.start("sngle", json!(1)).await?;
    world.ended(rejected).await?;
    for (mistake, command) in [
        ("a run that never was", "show"),
        ("a run that never was, to watch", "watch"),
        ("a run that never was, to do again", "rerun"),
    ] {
        let run = "0.00000000-0000-5000-8000-000000000000";
        transcript.tries(mistake, &person, &["runs", command, run]).await?;
    }
    transcript.tries("a run that was rejected", &person, &["runs", "show", &rejected.to_string()]).await?;
    transcript.tries("a prefix of no run", &person, &["runs", "show", "ffffffff"]).await?;
    transcript.tries("what cannot be a run", &person, &["runs", "show", "order"]).await?;
    let whole = ["runs", "rerun", &first.to_string(), "--wait"];
    transcript.tries("a run that went well, to do again", &person, &whole).await?;
    let from = [&whole[..], &["--from", "nothing"]].concat();
    transcript.tries("a run to do again from no task of it", &person, &from).await?;
    transcript
        .tries("a run to do again from what is no task", &person, &["runs", "rerun", "@last", "--from", "A"])
        .await?;
    transcript.tries("a status that is none", &person, &["runs", "list", "--status", "done"]).await?;
    transcript.tries("a type that is misspelt", &person, &["events", "--type", "task.complete"]).await?;
    transcript.tries("a type that is not kept", &person, &["events", "--type", "task.progress"]).await?;
    let types = ["events", "--type", "agent.registered", "--run", "@last"];
    transcript.tries("a type of no run", &person, &types).await?;
    transcript.tries("a time that is none", &person, &["events", "--since", "yesterday"]).await?;
    transcript.tries("a dead letter that is not there", &person, &["dead", "show", "99"]).await?;
    transcript.tries("a reason that is misspelt", &person, &["dead", "list", "--reason", "malformd"]).await?;
    transcript
        .tries("a dead letter to redrive that is not there", &person, &["dead", "redrive", "99"])
        .await?;
    transcript.tries("a dead letter to drop that is not there", &person, &["dead", "drop", "99"]).await?;
    world.publish("workflow.requested.single", "{\"n\": 1").await?;
    let letter = world.first(Stream::Dead, "dead.inbox.malformed").await?.sequence.to_string();
    transcript.tries("a dead letter of garbage", &person, &["dead", "redrive", &letter]).await?;
    transcript.tries("an agent that is misspelt", &person, &["agent", "show", "wroker-1"]).await?;
    transcript.tries("a workflow that is misspelt", &person, &["workflow", "show", "sngle"]).await?;
    let version = ["workflow", "show", "single", "--digest", "zz"];
    let current = person.says(&["workflow", "list", "-o", "json"]).await?.json()?;
    let digest = current[0]["digest"].as_str().and_then(|digest| digest.get(7..19)).context("a digest")?;
    transcript.hide(digest, "DIGEST");
    transcript.tries("a version that is not there", &person, &version).await?;
    transcript.tries("a deletion that nobody agreed to", &person, &["workflow", "delete", "single"]).await?;
    person.says(&["workflow", "delete", "single", "--yes"]).await?.well()?;
    transcript.tries("a workflow that was deleted", &person, &["workflow", "show", "single"]).await?;
    transcript.hide(&format!("'{twice}'"), "'DIGIT'");
    transcript.hide(&format!("show {twice}"), "show DIGIT");
    transcript.tries("a prefix of two runs", &person, &prefix).await?;
    agent.stop().await?;
    orchestrator.stop().await?;
    transcript.holds()
}
