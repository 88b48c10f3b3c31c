//! `mesh doctor`: what is wrong with a set-up.

use anyhow::{Context as _, Result};
use mesh_agents::Agent;
use mesh_bus::topology::{Stream, agent_consumer};
use mesh_bus::{Bus as _, Flow, Health};
use mesh_schemas::Lane;
use mesh_tests::{TestServer, World, patiently, until_idle};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::agents::{echo, registered};
use crate::support::{Person, Said};

/// What doctor says, and its exit code.
pub(crate) async fn examined(person: &Person) -> Result<(i32, Value)> {
    let said = person.says(&["doctor", "-o", "json"]).await?;
    let report = serde_json::from_str(&said.out).with_context(|| format!("not JSON: {said:?}"))?;
    Ok((said.code, report))
}

/// The findings of a level, each with its advice.
pub(crate) fn told(report: &Value, level: &str) -> Vec<String> {
    let findings = report["findings"].as_array().into_iter().flatten();
    findings
        .filter(|finding| finding["level"] == level)
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
            format!("{}: {} → {}", text("about"), text("finding"), text("advice"))
        })
        .collect()
}

/// Whether one of them says all of this.
pub(crate) fn says(told: &[String], parts: &[&str]) -> bool {
    told.iter().any(|told| parts.iter().all(|part| told.contains(part)))
}

const ONE: &str = "{mesh: v1, name: one, tasks: {a: {agent: risk}}}";

#[tokio::test]
async fn a_healthy_mesh() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(ONE).await?;
    let agent = world.agent(Agent::builder("analyst").id("ada").capability("risk", echo)).await?;
    registered(&world, "ada").await?;
    world.output("one", json!({})).await?;
    until_idle(&world, &["risk"]).await?;
    let person = Person::of(&world)?;
    let (code, report) = examined(&person).await?;
    assert_eq!((code, &report["errors"], &report["warnings"]), (0, &json!(0), &json!(0)), "{report:#}");
    let well = told(&report, "ok");
    for parts in [
        &["server: nats-server 2.", "no cluster"][..],
        &["clock: "],
        &["streams: ", "_EVENTS: 3 messages"],
        &["orchestrators: 1 orchestrator of version"],
        &["shards: 8 shards, 0 events to be folded"],
        &["requests: 0 requests to be taken"],
        &["timers: 0 due timers to be taken"],
        &["workflows: 1 workflow can be started"],
        &["agents: 'risk': 1 agent (ada), 0 in hand, 0 waiting"],
        &["dead letters: none"],
    ] {
        assert!(says(&well, parts), "{parts:?} is not in {well:#?}");
    }
    assert!(says(&told(&report, "info"), &["loss: one copy", "sync_interval: always"]), "{report:#}");
    let Said { out, err, .. } = person.says(&["doctor"]).await?;
    assert!(out.contains("ok       orchestrators  1 orchestrator"), "{out}");
    assert_eq!(err, "all is well\n");
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn who_has_which_shards() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrators = [world.orchestrator().await?, world.orchestrator().await?];
    let person = Person::of(&world)?;
    let shared_out = async {
        loop {
            let (_, report) = examined(&person).await?;
            let owners: Vec<String> =
                told(&report, "ok").into_iter().filter(|told| told.contains(" has shard ")).collect();
            let shards =
                |owner: &String| owner.split(" has shard ").nth(1).map(|has| has.split(", ").count());
            if owners.iter().map(shards).collect::<Vec<_>>() == [Some(4), Some(4)] {
                return anyhow::Ok(());
            }
        }
    };
    patiently("the shards to be shared out", shared_out).await??;
    for orchestrator in orchestrators {
        orchestrator.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn no_orchestrator() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(ONE).await?;
    let agent = world.agent(Agent::builder("analyst").capability("risk", echo)).await?;
    world.output("one", json!({})).await?;
    orchestrator.stop().await?;
    // That of another mesh on the server is not ours.
    let other = World::on(&server.url()).await?;
    let others = other.orchestrator().await?;
    let (code, report) = examined(&Person::of(&world)?).await?;
    let errors = told(&report, "error");
    assert_eq!(code, 1, "{report:#}");
    assert!(says(&errors, &["orchestrators: none is running", "mesh orchestrator"]), "{errors:#?}");
    agent.stop().await?;
    others.stop().await
}

#[tokio::test]
async fn work_that_nobody_does() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(ONE).await?;
    let agent = world.agent(Agent::builder("analyst").id("ada").capability("rsik", echo)).await?;
    registered(&world, "ada").await?;
    let person = Person::of(&world)?;
    let (code, report) = examined(&person).await?;
    assert_eq!(code, 0, "{report:#}");
    assert!(says(&told(&report, "warning"), &["nobody serves 'risk', named by 'one'"]), "{report:#}");
    let info = told(&report, "info");
    assert!(says(&info, &["'rsik': 1 agent (ada); no workflow names it", "names 'risk'"]), "{info:#?}");
    world.start("one", json!({})).await?;
    world.first(Stream::Tasks, "task.created.risk.>").await?;
    let (code, report) = examined(&person).await?;
    let errors = told(&report, "error");
    assert_eq!(code, 1, "{report:#}");
    assert!(says(&errors, &["nobody serves 'risk': 1 task waiting", "start an agent"]), "{errors:#?}");
    // What is left of a run that has ended is waited for by nobody.
    person.says(&["runs", "cancel", "@last", "--wait"]).await?.well()?;
    let (code, report) = examined(&person).await?;
    assert_eq!(code, 0, "{report:#}");
    assert!(says(&told(&report, "warning"), &["nobody serves 'risk', named by 'one'"]), "{report:#}");
    person.says(&["workflow", "delete", "one", "--yes"]).await?.well()?;
    let (_, report) = examined(&person).await?;
    assert!(
        says(&told(&report, "info"), &["nobody serves 'risk'", "1 task of runs that have ended"]),
        "{report:#}"
    );
    agent.stop().await?;
    orchestrator.stop().await
}

/// An agent that keeps to the bare contract is in no registry.
#[tokio::test]
async fn an_agent_that_only_asks_for_work() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(ONE).await?;
    let spec = agent_consumer(&world.namespace, &"risk".parse()?, &Lane::Normal);
    let mut work = world.bus.consume(&spec, Flow::OnRequest).await?;
    work.request(1);
    let agent = tokio::spawn(async move { work.next().await.map(|delivery| (delivery, work)) });
    let asked = async {
        let is_asked = |health: Health| {
            health.consumers.into_iter().any(|consumer| {
                consumer.name == spec.name && consumer.found.is_some_and(|found| found.waiting > 0)
            })
        };
        while !is_asked(world.bus.health().await?) {}
        anyhow::Ok(())
    };
    patiently("a request for work", asked).await??;
    let person = Person::of(&world)?;
    let (_, report) = examined(&person).await?;
    let served = ["'risk': agents that are not in the registry, 0 in hand, 0 waiting"];
    assert!(says(&told(&report, "ok"), &served), "{report:#}");
    // It has room for one task only: the next waits, and that is no error yet.
    world.start("one", json!({})).await?;
    let at_work = patiently("the task", agent).await??;
    world.start("one", json!({})).await?;
    world.until(Stream::Tasks, "task.created.>", |task| task.sequence == 2).await?;
    let (code, report) = examined(&person).await?;
    let served = ["'risk': agents that are not in the registry, 1 in hand, 1 waiting"];
    assert_eq!(code, 0, "{report:#}");
    assert!(says(&told(&report, "ok"), &served), "{report:#}");
    drop(at_work);
    orchestrator.stop().await
}

#[tokio::test]
async fn dead_letters_are_a_warning() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.publish("workflow.requested.one", "garbage").await?;
    world.first(Stream::Dead, "dead.>").await?;
    let (code, report) = examined(&Person::of(&world)?).await?;
    assert_eq!(code, 0, "{report:#}");
    let warnings = told(&report, "warning");
    assert!(
        says(&warnings, &["1 message that nobody could", "malformed", "mesh dead list"]),
        "{warnings:#?}"
    );
    orchestrator.stop().await
}

#[tokio::test]
async fn what_somebody_broke_by_hand() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let context = async_nats::jetstream::new(async_nats::connect(&world.url).await?);
    let name = |stream: Stream| stream.name(&world.namespace);
    context.delete_stream(name(Stream::Notes)).await?;
    let mut dead = context.get_stream(name(Stream::Dead)).await?;
    let mut config = dead.info().await?.config.clone();
    config.max_age = std::time::Duration::from_secs(3600);
    config.max_bytes = 1024;
    context.update_stream(config).await?;
    context.get_stream(name(Stream::Inbox)).await?.delete_consumer("relay").await?;
    orchestrator.stop().await?;
    let (code, report) = examined(&Person::of(&world)?).await?;
    let errors = told(&report, "error");
    assert_eq!(code, 1, "{report:#}");
    assert!(says(&errors, &["_NOTES is missing", "orchestrator"]), "{errors:#?}");
    assert!(says(&errors, &["_DEAD is not as it should be", "max_age is 3600s"]), "{errors:#?}");
    Ok(())
}

#[tokio::test]
async fn a_namespace_that_is_not_set_up() -> Result<()> {
    let server = TestServer::start()?;
    let person = Person::new()?.with("MESH_NATS_URL", &server.url());
    let (code, report) = examined(&person).await?;
    let errors = told(&report, "error");
    assert_eq!((code, errors.len()), (1, 1), "{report:#}");
    assert!(says(&errors, &["namespace 'mesh' is not set up", "mesh up"]), "{errors:#?}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_cannot_be_used() -> Result<()> {
    let person = Person::new()?;
    let nobody = person.says(&["doctor", "-s", "nats://127.0.0.1:1"]).await?;
    assert_eq!(nobody.code, 1);
    assert!(nobody.out.starts_with("error    server         cannot connect to NATS"), "{nobody:?}");
    assert_eq!(nobody.err, "1 error, 0 warnings\n");

    let server = TestServer::start_with(&["--jetstream=false"])?;
    let without = person.says(&["doctor", "-s", &server.url()]).await?;
    assert_eq!(without.code, 1);
    assert!(without.out.contains("runs without JetStream"), "{without:?}");

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("nats://{}", listener.local_addr()?);
    let old = tokio::spawn(old_server(listener));
    let said = person.says(&["doctor", "-s", &url, "-o", "json"]).await?;
    assert_eq!(said.code, 1);
    assert!(said.out.contains("is version \\\"2.9.10\\\", but the mesh needs 2.14"), "{said:?}");
    old.abort();
    Ok(())
}

/// Greets as an old server does.
async fn old_server(listener: TcpListener) -> Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let info = json!({
        "server_id": "old", "server_name": "old", "version": "2.9.10", "go": "go1.19", "host": "127.0.0.1",
        "port": 4222, "headers": true, "max_payload": 1_048_576, "proto": 1, "jetstream": true,
    });
    stream.write_all(format!("INFO {info}\r\n").as_bytes()).await?;
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = patiently("the client", lines.next_line()).await?? {
        if line == "PING" {
            write.write_all(b"PONG\r\n").await?;
        }
    }
    Ok(())
}
