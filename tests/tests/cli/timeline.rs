//! `mesh timeline`: all that happened in a run, with what led to it, and the chain of its history.

use anyhow::{Context as _, Result};
use async_nats::jetstream;
use mesh_bus::topology::Stream;
use mesh_tests::World;
use serde_json::{Value, json};

use crate::archived::Ended;

fn entries(said: &str) -> Result<Vec<Value>> {
    said.lines().map(|line| serde_json::from_str(line).context("a line of JSON")).collect()
}

/// Puts a changed history in the place of the one that is there: what somebody may do who may write and delete.
async fn rewrite(world: &World, change: impl FnOnce(&mut Vec<Value>)) -> Result<()> {
    let context = jetstream::new(async_nats::connect(&world.url).await?);
    let mut stream = context.get_stream(Stream::History.name(&world.namespace)).await?;
    let first = stream.info().await?.state.first_sequence;
    let last = stream.get_raw_message(first).await?;
    let mut history: Value = serde_json::from_slice(&last.payload)?;
    change(history["data"]["events"].as_array_mut().context("events")?);
    stream.purge().await?;
    let changed = serde_json::to_vec(&history)?;
    context.publish_with_headers(last.subject, last.headers, changed.into()).await?.await?;
    Ok(())
}

#[tokio::test]
async fn everything_has_its_place_and_its_cause_and_whatever_was_altered_is_named() -> Result<()> {
    let ended = Ended::new().await?;
    let (world, person, id) = (&ended.world, &ended.person, ended.run.to_string());
    let nobody = format!("0.{}", "00000000-0000-5000-8000-000000000000");
    let unknown = person.says(&["timeline", &nobody]).await?;
    assert!(unknown.code == 1 && unknown.err.contains("the log has no run"), "{unknown:?}");

    let told = entries(&person.says(&["timeline", &id, "-o", "json"]).await?.well()?)?;
    let numbers: Vec<u64> = told.iter().filter_map(|entry| entry["number"].as_u64()).collect();
    assert_eq!(numbers, (1..=told.len() as u64).collect::<Vec<_>>());
    assert_eq!(told[0]["event"]["type"], "workflow.started");
    let caused = told.iter().filter(|entry| entry["cause"].as_u64() < entry["number"].as_u64());
    assert!(caused.count() + 1 >= told.len() / 2, "{told:#?}");
    let shown = person.says(&["timeline", &id]).await?.well()?;
    let started = shown.lines().next().context("a line")?;
    assert!(started.starts_with("   1     +0.000s  workflow.started      tour"), "{shown}");
    assert!(shown.lines().any(|line| line.contains("task.created") && line.ends_with("<- 1")), "{shown}");
    let early = person.says(&["timeline", &id, "--verify"]).await?;
    assert!(early.code == 1 && early.err.contains("is not archived"), "{early:?}");

    ended.archive(3_600, 2).await?;
    let verified = person.says(&["timeline", &id, "--verify", "-o", "json"]).await?.well()?;
    let last = entries(&verified)?.pop().context("a line")?;
    let (pieces, head) = (&last["verified"]["pieces"], last["verified"]["head"].as_str().context("a link")?);
    assert!(pieces.as_u64() > Some(5) && head.starts_with("sha256:"), "{last}");
    let noted = person.says(&["timeline", &id, "--verify", "--head", head]).await?.well()?;
    assert!(noted.contains(&format!("unchanged; the last link is {head}")), "{noted}");
    let other = person.says(&["timeline", &id, "--verify", "--head", "sha256:00"]).await?;
    assert!(other.code == 1 && other.err.contains("and not sha256:00"), "{other:?}");

    let mut subject = String::new();
    rewrite(world, |events| {
        subject = events[2]["subject"].as_str().unwrap_or_default().to_owned();
        events[2]["time"] = json!("2026-01-01T00:00:00Z");
    })
    .await?;
    let altered = person.says(&["timeline", &id, "--verify"]).await?;
    assert!(altered.code == 1 && altered.err.contains("MESH-409"), "{altered:?}");
    assert!(altered.err.contains(&subject) && altered.err.contains("was changed"), "{altered:?}");
    rewrite(world, |events| drop(events.remove(1))).await?;
    let altered = person.says(&["timeline", &id, "--verify"]).await?;
    assert!(altered.err.contains("number 2 of the history is missing"), "{altered:?}");
    ended.agent.stop().await
}
