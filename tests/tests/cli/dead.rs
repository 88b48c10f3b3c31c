//! `mesh dead`: what nobody could deal with.

use anyhow::{Context as _, Result};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, DeadEnd, Publish, dead_letter};
use mesh_schemas::{Headers, Message};
use mesh_tests::{TestServer, World};
use serde_json::json;

use crate::support::Person;

/// Publishes something that cannot be read, and waits for the letter about it.
async fn bury(world: &World, subject: &str, payload: &'static [u8]) -> Result<u64> {
    world.publish(subject, payload).await?;
    let letter = world.until(Stream::Dead, "dead.>", |letter| letter.message.payload == payload).await?;
    Ok(letter.sequence)
}

#[tokio::test]
async fn dead_letters_are_listed_and_shown() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let person = Person::of(&world)?;
    assert_eq!(person.says(&["dead", "list", "-o", "json"]).await?.json()?, json!([]));
    let none = person.says(&["dead", "show", "1"]).await?;
    assert!(none.err.contains("there are none"), "{none:?}");

    let binary = bury(&world, "workflow.requested.order", b"\xff\x00{").await?;
    let text = bury(&world, "workflow.requested.order", b"not JSON \x1b[2J").await?;
    let run = world.start("nothing", json!({})).await?;
    let event = format!("task.completed.risk.normal.{run}.a.1");
    let json_letter = bury(&world, &event, b"{\"specversion\": 7}").await?;

    let listed = person.says(&["dead", "list"]).await?.well()?;
    let rows: Vec<&str> = listed.lines().collect();
    assert_eq!(rows.len(), 4, "{listed}");
    assert!(
        rows[0].starts_with("N ") && rows[1].contains("inbox") && rows[1].contains("malformed"),
        "{listed}"
    );
    let listed = person.says(&["dead", "list", "-o", "json", "--stream", "events"]).await?.json()?;
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!(listed[0]["sequence"], json_letter);
    assert_eq!(listed[0]["run"], run.to_string());
    assert_eq!(listed[0]["subject"], format!("{}.{event}", world.namespace));
    // The log does not know it.
    let begin = &run.to_string()[..10];
    let listed = person.says(&["dead", "list", "-o", "json", "--run", begin]).await?.json()?;
    assert_eq!(listed[0]["sequence"], json_letter, "{listed}");
    let few = person.says(&["dead", "list", "--reason", "malformed", "--limit", "1", "-o", "json"]).await?;
    assert!(few.err.contains("the newest 1 of 2"), "{few:?}");
    assert_eq!(few.json()?[0]["sequence"], text);
    let wrong = person.says(&["dead", "list", "--reason", "malformd"]).await?;
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("'malformed'"), "{wrong:?}");

    let shown = person.says(&["dead", "show", &binary.to_string()]).await?.well()?;
    for part in [
        "reason      malformed".to_owned(),
        format!("subject     {}.workflow.requested.order", world.namespace),
        "found in    inbox, number 1".to_owned(),
        "  ce-specversion: 1.0".to_owned(),
        "00000000  ff 00 7b  ".to_owned(),
    ] {
        assert!(shown.contains(&part), "{part} is not in\n{shown}");
    }
    assert!(shown.contains("  ce-error: ") && !shown.contains("%20"), "{shown}");
    let nothing_there = person.says(&["dead", "list", "--stream", "history"]).await?;
    assert_eq!(nothing_there.code, 2, "{nothing_there:?}");
    let shown = person.says(&["dead", "show", &binary.to_string(), "-o", "json"]).await?.json()?;
    assert_eq!(shown["body"], json!({ "base64": "/wB7" }));
    assert!(shown["error"].as_str().is_some_and(|error| !error.contains('%')), "{shown}");
    let escaped = person.says(&["dead", "show", &text.to_string()]).await?.well()?;
    assert!(!escaped.contains('\x1b'), "{escaped}");
    let shown = person.says(&["dead", "show", &json_letter.to_string(), "-o", "yaml"]).await?.well()?;
    assert!(shown.contains("specversion: 7"), "{shown}");
    let missing = person.says(&["dead", "show", "99"]).await?;
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("there is no dead letter 99: the newest is 3"), "{missing:?}");
    orchestrator.stop().await
}

#[tokio::test]
async fn a_message_that_did_not_fit_is_fetched_from_where_it_is() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    world.orchestrator().await?.stop().await?;
    let run = world.run_of(&world.request("order", "1", json!({}))?).await?;
    let subject = format!("{}.task.created.risk.normal.{run}.a.1", world.namespace);
    let payload = format!("large{}", "x".repeat(1024 * 1024 - 200));
    let large =
        Message { subject: subject.clone(), headers: Headers::new(), payload: payload.clone().into() };
    world.bus.publish(Publish::once(large)).await?;
    let original = world.bus.last(Stream::Tasks, &subject).await?.context("it is stored")?;
    dead_letter(&*world.bus, DeadEnd::UnreadableTask, &original, "no JSON").await?;
    let person = Person::of(&world)?;
    let shown = person.says(&["dead", "show", "1", "-o", "json"]).await?.json()?;
    assert_eq!(shown["body"]["text"], payload);
    assert!(
        shown["dataref"].as_str().is_some_and(|place| place.ends_with("_TASKS/1")),
        "{}",
        shown["dataref"]
    );
    let client = async_nats::connect(&world.url).await?;
    let stream = async_nats::jetstream::new(client).get_stream(Stream::Tasks.name(&world.namespace)).await?;
    stream.delete_message(1).await?;
    let shown = person.says(&["dead", "show", "1"]).await?.well()?;
    assert!(shown.contains("(no longer where it was stored)"), "{shown}");
    Ok(())
}
