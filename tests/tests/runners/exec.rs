//! What a program is given, and what is made of how it ends.

use anyhow::Result;
use mesh_agents::{Agent, Exec};
use mesh_tests::Fifo;
use serde_json::{Value, json};

use crate::support::{TRACEPARENT, mesh};

/// A shell script as a handler.
pub(crate) fn sh(script: &str) -> Exec {
    Exec::new("sh").args(["-c", script])
}

#[tokio::test]
async fn input_comes_on_stdin_and_output_goes_to_stdout() -> Result<()> {
    let agent = Agent::builder("programs")
        .exec("echo", Exec::new("cat"))
        .exec("silent", sh("cat > /dev/null"))
        .exec("deaf", sh("echo '\"heard nothing\"'"))
        .exec("closed", sh("exec <&-; echo 1"))
        .exec("chatty", sh("echo hello >&2; cat; echo goodbye >&2"))
        .exec("placed", sh("printf '\"%s %s\"' \"$PWD\" \"$COLOUR\"").current_dir("/").env("COLOUR", "blue"));
    let mesh = mesh().await?.with(agent).await?;
    let input = json!({"text": "ä\n\"", "list": [1, 2.5, null]});
    assert_eq!(mesh.output("echo", input.clone()).await?, input);
    assert_eq!(mesh.output("silent", json!(1)).await?, Value::Null);
    // More than a pipe holds.
    let much = json!("x".repeat(300_000));
    assert_eq!(mesh.output("echo", much.clone()).await?, much);
    // More than a message carries.
    let more = json!({"text": "x".repeat(5_000_000)});
    assert!(mesh.output("echo", more.clone()).await? == more, "another output");
    assert_eq!(mesh.output("deaf", much.clone()).await?, json!("heard nothing"));
    assert_eq!(mesh.output("closed", much).await?, json!(1));
    assert_eq!(mesh.output("chatty", json!(2)).await?, json!(2));
    assert_eq!(mesh.output("placed", json!(null)).await?, json!("/ blue"));
    mesh.stop().await
}

#[tokio::test]
async fn the_environment_tells_of_the_task() -> Result<()> {
    let script = "printf '[\"%s\",\"%s\",\"%s\",%s,%s,\"%s\",\"%s\",\"%s\",\"%s\",\"%s\",\"%s\",\"%s\",\"%s\"]' \
        \"$MESH_RUN_ID\" \"$MESH_WORKFLOW\" \"$MESH_TASK\" \"$MESH_ATTEMPT\" \"$MESH_DELIVERY\" \"${MESH_ACTION-unset}\" \
        \"$MESH_IDEMPOTENCY_KEY\" \"$MESH_CORRELATION_ID\" \"$MESH_DEADLINE\" \"$MESH_AGENT\" \"$MESH_CAPABILITY\" \
        \"$TRACEPARENT\" \"$TRACESTATE\"";
    let agent = Agent::builder("programs").id("programs-1").exec("tell", sh(script));
    let mesh = mesh().await?.with(agent).await?;
    for (more, action) in [("action: resize, timeout: 1h,", "resize"), ("timeout: 1h,", "unset")] {
        let before = chrono::Utc::now();
        let run = mesh.start("tell", more, json!({})).await?;
        let outcome = mesh.world.ended(run).await?;
        let mesh_bus::RunOutcome::Completed(completed) = outcome else {
            anyhow::bail!("not completed: {outcome:?}")
        };
        let mut told: Vec<Value> = serde_json::from_value(completed.output)?;
        let deadline: chrono::DateTime<chrono::Utc> = serde_json::from_value(told.remove(8))?;
        let hours = (deadline - before).num_seconds();
        assert!((3595..3700).contains(&hours), "{deadline} is not an hour after {before}");
        let (run, key) = (run.to_string(), format!("{run}.work"));
        let expected = json!([
            run,
            "tell",
            "work",
            1,
            1,
            action,
            key,
            "an order ä",
            "programs-1",
            "tell",
            TRACEPARENT,
            "vendor=value"
        ]);
        assert_eq!(Value::from(told), expected);
    }
    mesh.stop().await
}

#[tokio::test]
async fn how_a_program_ends_is_the_outcome() -> Result<()> {
    let many = "for n in $(seq 100); do echo line $n >&2; done; exit 1";
    let lines: Vec<_> = (81..=100).map(|n| format!("line {n}")).collect();
    let cases = [
        ("wrong_input", sh("echo 'no such account' >&2; exit 65"), "exit_65", false, "no such account"),
        ("busy", sh("echo 'come back' >&2; exit 75"), "exit_75", true, "come back"),
        ("broken", sh("exit 3"), "exit_3", true, "ended with exit code 3, with nothing on stderr"),
        ("killed", sh("printf 'last words' >&2; kill -9 $$"), "signal_9", true, "last words"),
        ("talkative", sh(many), "exit_1", true, &lines.join("\n")),
        ("late", sh("echo '{}'; exit 2"), "exit_2", true, "exit code 2"),
        ("text", sh("echo all done"), "invalid_output", false, "all done"),
        ("two", sh("echo '{} {}'"), "invalid_output", false, "{} {}"),
        ("endless", sh("yes"), "output_too_large", false, "larger than 16777216 bytes"),
        ("large", sh("echo 12345").output_limit(4), "output_too_large", false, "larger than 4 bytes"),
    ];
    let mut agent = Agent::builder("programs").exec("fitting", sh("printf 1234").output_limit(4));
    for (capability, exec, ..) in &cases {
        agent = agent.exec(capability, exec.clone());
    }
    let mesh = mesh().await?.with(agent).await?;
    for (capability, _, code, retryable, message) in cases {
        let error = mesh.failure(capability, json!({})).await?;
        assert_eq!((error.code.as_str(), error.retryable), (code, retryable), "{capability}: {error:?}");
        assert!(error.message.contains(message), "{capability}: {error:?}");
        assert!(error.message.len() <= 4096, "{} bytes", error.message.len());
    }
    assert_eq!(mesh.output("fitting", json!({})).await?, json!(1234));
    mesh.stop().await
}

#[tokio::test]
async fn a_program_that_is_not_there_is_no_agent() -> Result<()> {
    let mesh = mesh().await?;
    for (exec, message) in [
        (Exec::new("no-such-program"), "no program 'no-such-program' in the folders of PATH"),
        (Exec::new("/no/such/program"), "no program at /no/such/program"),
        (Exec::new("/etc/passwd"), "/etc/passwd cannot be run"),
        (Exec::new("sh").current_dir("/no/such/folder"), "cannot run in /no/such/folder"),
        (Exec::new("sh").env("MESH_TASK", "mine"), "'MESH_TASK' cannot be set"),
    ] {
        let agent = mesh.world.agent(Agent::builder("programs").exec("work", exec)).await?;
        let error = agent.stop().await.expect_err(message);
        assert!(format!("{error:#}").contains(message), "{error:#}");
    }
    assert!(mesh.world.registered().await?.is_empty());
    mesh.stop().await
}

#[tokio::test]
async fn a_program_that_vanishes_is_missed_and_not_forever() -> Result<()> {
    let place = Fifo::new()?;
    let program = place.folder().join("program");
    std::os::unix::fs::symlink("/bin/sh", &program)?;
    let exec = Exec::new("./program").args(["-c", "cat"]).current_dir(place.folder());
    let mesh = mesh().await?.with(Agent::builder("programs").exec("work", exec)).await?;
    assert_eq!(mesh.output("work", json!(1)).await?, json!(1));
    std::fs::remove_file(&program)?;
    let error = mesh.failure("work", json!(2)).await?;
    assert_eq!((error.code.as_str(), error.retryable), ("program_unavailable", true));
    assert!(error.message.contains("program"), "{}", error.message);
    std::os::unix::fs::symlink("/bin/sh", &program)?;
    assert_eq!(mesh.output("work", json!(3)).await?, json!(3));
    mesh.stop().await
}
