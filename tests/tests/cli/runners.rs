//! `mesh agent exec` and `mesh agent http`: what they hand on to the runners, and what they say when they cannot.

use anyhow::{Context as _, Result};
use mesh_tests::{TestServer, World, patiently, signal};
use rustix::process::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::Person;

const ONE: &str = "
mesh: v1
name: one
output: '${tasks.t.output}'
tasks: {t: {agent: helper, retry: {max_attempts: 1}}}
";

#[tokio::test]
async fn a_program_does_tasks() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(ONE).await?;
    let person = Person::of(&world)?.with("MESH_AGENT_TYPE", "shells").with("GREETING", "inherited");
    let script = r#"read -r input; echo "{\"in\": $input, \"greeting\": \"$GREETING\", \"own\": \"$OWN\", \"task\": \"$MESH_TASK\"}""#;
    let command = [
        "agent",
        "exec",
        "--capability",
        "helper",
        "--capacity",
        "3",
        "--env",
        "OWN=mine",
        "--",
        "sh",
        "-c",
        script,
    ];
    let mut agent = person.command(&command)?.spawn()?;
    let output = world.output("one", json!({"n": 1})).await?;
    assert_eq!(output, json!({"in": {"n": 1}, "greeting": "inherited", "own": "mine", "task": "t"}));
    let listed = person.says(&["agents", "list", "-o", "json"]).await?.json()?;
    assert_eq!((&listed[0]["type"], &listed[0]["capacity"]), (&json!("shells"), &json!(3)));
    signal(agent.id().context("it runs")?, Signal::TERM)?;
    assert!(patiently("the agent's end", agent.wait()).await??.success());
    orchestrator.stop().await
}

#[tokio::test]
async fn a_service_does_tasks() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(ONE).await?;
    let service = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/do", service.local_addr()?);
    let person = Person::of(&world)?.with("MESH_AGENT_HEADER", "x-one: 1\nauthorization: Bearer hunter2");
    let _agent = person.command(&["agent", "http", "-c", "helper", "--url", &url])?.spawn()?;
    let run = world.start("one", json!({"n": 1})).await?;
    let (mut stream, _) = patiently("a request", service.accept()).await??;
    let mut request = String::new();
    while !request.ends_with(r#"{"n":1}"#) {
        let mut part = [0; 4096];
        let count = patiently("the request", stream.read(&mut part)).await??;
        request.push_str(std::str::from_utf8(&part[..count])?);
    }
    let lower = request.to_lowercase();
    assert!(lower.contains("x-one: 1") && lower.contains("authorization: bearer hunter2"), "{request}");
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\"ok\"").await?;
    let outcome = world.ended(run).await?;
    assert!(matches!(&outcome, mesh_bus::RunOutcome::Completed(end) if end.output == "ok"), "{outcome:?}");
    let settings =
        person.says(&["agent", "http", "-c", "helper", "--url", &url, "--print-config"]).await?.well()?;
    assert!(!settings.contains("hunter2"), "{settings}");
    orchestrator.stop().await
}

#[tokio::test]
async fn what_cannot_do_tasks_is_told_at_once() -> Result<()> {
    let server = TestServer::start()?;
    let person = Person::new()?.with("MESH_NATS_URL", &server.url());
    let cases: [(&[&str], &str); 6] = [
        (
            &["exec", "-c", "x", "--", "no-such-program"],
            "error[MESH-502]: there is no program 'no-such-program'",
        ),
        (
            &["exec", "-c", "x", "--dir", "nowhere", "--", "true"],
            "error[MESH-502]: the program cannot run in nowhere",
        ),
        (
            &["exec", "-c", "x", "--env", "MESH_TASK=1", "--", "true"],
            "error[MESH-502]: the environment variable 'MESH_TASK'",
        ),
        (&["http", "-c", "x", "--url", "ftp://x"], "error[MESH-503]: the URL cannot be used"),
        (&["http", "-c", "Not A Name", "--url", "http://x"], "is not a valid capability"),
        (&["exec", "-c", "x"], "required"),
    ];
    for (arguments, expected) in cases {
        let said = person.says(&[&["agent"], arguments].concat()).await?;
        assert!(said.code != 0 && said.err.contains(expected), "{arguments:?}: {said:?}");
    }
    Ok(())
}
