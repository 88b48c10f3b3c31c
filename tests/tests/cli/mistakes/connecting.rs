//! Servers that cannot be reached, or do not do what they are asked for.

use anyhow::Result;
use mesh_tests::{TestServer, World};

use super::transcript::Transcript;
use crate::support::Person;

/// Users with all rights, with too few, and in an account without JetStream.
const USERS: &str = r#"
accounts {
  mesh {
    jetstream: enabled
    users: [
      {user: all, password: all}
      {user: reader, password: reader, permissions: {publish: {deny: ["*.workflow.requested.>", "*.task.requested.>"]}}}
      {user: deaf, password: deaf, permissions: {publish: {deny: "$JS.API.>"}}}
    ]
  }
  plain { users: [{user: plain, password: plain}] }
}
"#;

#[tokio::test]
async fn connecting() -> Result<()> {
    let person = Person::new()?;
    let mut transcript = Transcript::new("connecting");
    for (mistake, url) in [
        ("no server", "nats://127.0.0.1:1"),
        ("a port that cannot be one", "nats://127.0.0.1:99999"),
        ("an address of something else", "http://127.0.0.1:4222"),
        ("no host", "nats://"),
        ("a list with a hole", "nats://127.0.0.1:1,,nats://127.0.0.1:2"),
    ] {
        transcript.tries(mistake, &person, &["runs", "list", "-s", url]).await?;
    }
    transcript
        .tries("no server to start on", &person, &["start", "order", "-s", "nats://127.0.0.1:1"])
        .await?;

    let server = TestServer::start()?;
    transcript.hide_port(&server.url());
    let bare = Person::new()?.with("MESH_NATS_URL", &server.url());
    for arguments in [
        &["runs", "list"][..],
        &["start", "order"],
        &["workflow", "list"],
        &["events"],
        &["agent", "list"],
        &["call", "greet", "{}"],
    ] {
        transcript.tries("a namespace without an orchestrator", &bare, arguments).await?;
    }
    let durable = ["orchestrator", "--durable"];
    transcript.tries("a server that may lose the last writes", &bare, &durable).await?;
    transcript
        .tries("a word that --durable does not know", &bare, &["orchestrator", "--durable=maybe"])
        .await?;
    let tls = server.url().replace("nats://", "tls://");
    transcript.tries("TLS with a server that has none", &person, &["runs", "list", "-s", &tls]).await?;

    let config = person.file("nats.conf", USERS)?;
    let server = TestServer::start_with(&["--config", &config.to_string_lossy()])?;
    transcript.hide_port(&server.url());
    let world = World::on(&server.url().replace("nats://", "nats://all:all@")).await?;
    transcript.hide(world.namespace.as_str(), "NAMESPACE");
    transcript.hide(&world.namespace.as_str().to_uppercase(), "NAMESPACE");
    let orchestrator = world.orchestrator().await?;
    let person = person.with("MESH_NATS_URL", &server.url()).with("MESH_NAMESPACE", world.namespace.as_str());
    // What the client logs has the time in it.
    let person = person.with("MESH_LOG", "off");
    transcript.tries("no user", &person, &["runs", "list"]).await?;
    let with = |user| ["--nats-user", user, "--nats-password", user];
    let wrong = ["runs", "list", "--nats-user", "all", "--nats-password", "wrong"];
    transcript.tries("a wrong password", &person, &wrong).await?;
    let plain = [&["runs", "list"][..], &with("plain")].concat();
    transcript.tries("an account without JetStream", &person, &plain).await?;
    let deaf = [&["runs", "list"][..], &with("deaf")].concat();
    transcript.tries("a user who may not use JetStream", &person, &deaf).await?;
    let reader = [&["start", "order"][..], &with("reader")].concat();
    transcript.tries("a user who may not start runs", &person, &reader).await?;
    orchestrator.stop().await?;
    transcript.holds()
}
