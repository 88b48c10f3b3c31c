//! `mesh start`: what it prints, and how it ends.

use anyhow::Result;
use mesh_bus::topology::Stream;
use mesh_schemas::RunId;
use mesh_tests::{TestServer, World};
use serde_json::json;

use crate::spoken::Spoken;
use crate::support::Person;
use crate::worker::{SINGLE, worker};

#[tokio::test]
async fn the_run_is_named_and_the_same_id_is_the_same_run() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    gate.open_for_good();
    world.apply(SINGLE).await?;
    let person = Person::of(&world)?;
    person.file("order.json", r#"{"n": 1}"#)?;
    let started = ["start", "single", "--input", "order.json", "--id", "order-1", "--correlation-id", "mine"];
    let said = person.says(&started).await?;
    assert_eq!(said.err, "");
    let run: RunId = said.well()?.trim().parse()?;
    let again = person.says(&[&started[..], &["-o", "json"]].concat()).await?.json()?;
    assert_eq!(again, json!({ "run": run }));
    assert!(
        matches!(world.ended(run).await?, mesh_bus::RunOutcome::Completed(done) if done.output == json!({"n": 1}))
    );
    let event = world.first(Stream::Events, "workflow.started.single.>").await?;
    assert!(String::from_utf8_lossy(&event.message.payload).contains(r#""correlationid":"mine""#));
    assert_eq!(world.stored(Stream::Events, "workflow.started.>").await?.len(), 1);
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn the_exit_code_tells_the_outcome() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    gate.open_for_good();
    world.apply(SINGLE).await?;
    world.apply("{mesh: v1, name: idle, tasks: {wait: {agent: nobody}}}").await?;
    let person = Person::of(&world)?;
    for how in ["--wait", "--watch"] {
        let done = person.says_to("{\"a\": [1]}", &["start", "single", "--input", "-", how]).await?;
        assert!(done.err.contains("run "), "{done:?}");
        assert_eq!(done.well()?, "{\n  \"a\": [\n    1\n  ]\n}\n");
        let yaml = person.says(&["start", "single", "--input", "{\"a\": [1]}", how, "-o", "yaml"]).await?;
        assert_eq!(yaml.well()?, "a:\n- 1\n");
        let failed = person.says(&["start", "single", "--input", "{\"fatal\": true}", how]).await?;
        assert_eq!((failed.code, failed.out.as_str()), (4, ""), "{failed:?}");
        assert!(failed.err.contains("failed: task 'work' failed: it broke (broken)\n"), "{failed:?}");
        assert!(failed.err.contains("`mesh runs show "), "{failed:?}");
        let mut idle = Spoken::on_stderr(&person, &["start", "idle", how])?;
        let run = idle.until("run ").await?;
        let run = run.split(' ').find_map(|word| word.parse::<RunId>().ok()).expect("a run");
        world.publish(&format!("workflow.signalled.-.-.{run}.cancel.1"), r#"{"reason": "enough"}"#).await?;
        let cancelled = idle.ended().await?;
        assert_eq!((cancelled.code, cancelled.out.as_str()), (5, ""), "{cancelled:?}");
        assert!(cancelled.err.ends_with("cancelled: enough\n"), "{cancelled:?}");
    }
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_rejection_is_told_with_every_reason() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let strict = "
mesh: v1
name: strict
input: {type: object, properties: {n: {type: integer}, mail: {type: string, minLength: 3}}}
tasks: {wait: {agent: nobody}}
";
    world.apply(strict).await?;
    let person = Person::of(&world)?;
    for how in [&[][..], &["--wait"], &["--watch"]] {
        let said = person.says(&[&["start", "strct"], how].concat()).await?;
        assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
        assert!(said.err.contains("no workflow 'strct' is registered; did you mean 'strict'?"), "{said:?}");
        let wrong = ["start", "strict", "--input", r#"{"n": "x", "mail": ""}"#, "--id", "same"];
        // The rejection of an earlier try is not taken for the answer to this one.
        let said = person.says(&[&wrong[..], how].concat()).await?;
        assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
        for reason in ["rejected (invalid_input):", "input/n: ", "input/mail: "] {
            assert!(said.err.contains(reason), "{said:?}");
        }
    }
    let far = person.says(&["start", "other", "--wait"]).await?;
    assert!(far.err.contains("`mesh workflow apply FILE`"), "{far:?}");
    orchestrator.stop().await
}

#[tokio::test]
async fn what_is_no_input_is_not_sent() -> Result<()> {
    let person = Person::new()?;
    person.file("broken.json", "{\"a\": }")?;
    let cases = [
        ("{\"a\": ", "the input is not JSON: EOF"),
        ("nowhere.json", "the input is neither JSON nor a file that exists: nowhere.json"),
        ("broken.json", "broken.json is not JSON: expected value at line 1 column 7"),
        ("-", "the input on stdin is empty"),
    ];
    for (input, expected) in cases {
        let said = person.says(&["start", "any", "--input", input]).await?;
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains(expected), "{said:?}");
    }
    let both = person.says(&["start", "any", "--wait", "--watch"]).await?;
    assert_eq!(both.code, 2, "{both:?}");
    Ok(())
}

#[tokio::test]
async fn a_request_that_nobody_takes_up_is_kept_and_that_is_told() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    world.orchestrator().await?.stop().await?;
    let person = Person::of(&world)?;
    let said = person.says(&["start", "single"]).await?;
    assert!(said.err.contains("no orchestrator has taken up the request so far"), "{said:?}");
    assert!(said.err.contains("none answers"), "{said:?}");
    let _: RunId = said.well()?.trim().parse()?;
    for how in ["--wait", "--watch"] {
        let mut waiting = Spoken::on_stderr(&person, &["start", "single", how])?;
        waiting.until("no orchestrator has taken up the request so far").await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_id_that_no_event_can_have_is_a_usage_error() -> Result<()> {
    let person = Person::new()?;
    for arguments in [
        ["start", "hello", "--id", ""].as_slice(),
        &["call", "work", "{}", "--id", "a\nb"],
        &["start", "hello", "--correlation-id", ""],
    ] {
        let said = person.says(arguments).await?;
        assert!(said.code == 2 && said.err.contains("text that is not empty, on one line"), "{said:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_large_is_shown_like_anything_else() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    gate.open_for_good();
    world.apply(SINGLE).await?;
    let person = Person::of(&world)?;
    let input = json!({"text": "x".repeat(5_000_000)});
    person.file("large.json", &input.to_string())?;
    for how in ["--wait", "--watch"] {
        let done = person.says(&["start", "single", "--input", "large.json", how, "-o", "json"]).await?;
        assert!(done.json()? == input, "another output");
    }
    let shown = person.says(&["runs", "show", "@last", "-o", "json"]).await?.json()?;
    assert!(shown["input"] == input && shown["output"] == input, "another run");
    let table = person.says(&["runs", "show", "@last"]).await?.well()?;
    assert!(
        table.len() < 5_000 && table.matches("--output json has all of it").count() == 2,
        "{table:.5000}"
    );
    let runs = person.says(&["runs", "list", "-o", "json"]).await?.json()?;
    assert!(
        runs.as_array().is_some_and(|runs| runs.iter().all(|run| run["status"] == "completed")),
        "{runs}"
    );
    let of_run = ["events", "--run", "@last", "--type", "task.completed"];
    let line = person.says(&of_run).await?.well()?.to_owned();
    assert!(line.contains("(output by reference)"), "{line}");
    let stored = person.says(&[&of_run[..], &["-o", "json"]].concat()).await?.json()?;
    assert!(stored["dataref"].is_string() && stored["data"]["output"].is_null(), "{stored}");
    let whole = person.says(&[&of_run[..], &["-o", "json", "--whole"]].concat()).await?.json()?;
    assert!(whole["dataref"].is_null() && whole["data"]["output"] == input, "another output");
    // A smaller limit is a setting like any other.
    let limited = ["start", "single", "--input", "\"0123456789\"", "--wait", "--max-inline", "1"];
    assert_eq!(person.says(&limited).await?.well()?, "\"0123456789\"\n");
    let refused = person.says(&["runs", "list", "--max-inline", "0"]).await?;
    assert!(refused.err.contains("give a number from 1 to 983040"), "{refused:?}");
    agent.stop().await?;
    orchestrator.stop().await
}
