//! The endpoint where processes tell how they are.

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use mesh_bus::Bus as _;
use mesh_bus::topology::Bucket;
use mesh_tests::{TestServer, World};
use serde_json::json as object;

use crate::support::{Told, answers, eventually, get, json};

const ANY: &str = "127.0.0.1:0";

async fn world() -> Result<(TestServer, World)> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    Ok((server, world))
}

#[tokio::test]
async fn an_orchestrator_tells_when_it_is_cut_off_and_when_it_is_well_again() -> Result<()> {
    let (mut server, world) = world().await?;
    let mut orchestrator = Told::start(&world, &["orchestrator", "--observe", ANY])?;
    let address = orchestrator.address().await?;
    assert_eq!(answers(address, "/readyz", 200).await?, "ready\n");
    let told = answers(address, "/metrics", 200).await?;
    assert!(told.contains("# TYPE mesh_dead_letters_total counter\n"), "{told}");
    server.kill9()?;
    let wrong = answers(address, "/readyz", 503).await?;
    assert!(wrong.starts_with("no connection to NATS for ") && wrong.contains(" s\n"), "{wrong}");
    assert_eq!(get(address, "/healthz").await?, (200, "alive\n".to_owned()));
    has(address, "mesh_nats_up 0").await?;
    server.restart()?;
    answers(address, "/readyz", 200).await?;
    has(address, "mesh_nats_up 1").await?;
    has(address, "mesh_nats_reconnects_total 1").await
}

/// Waits until a line stands among the metrics.
async fn has(address: std::net::SocketAddr, line: &str) -> Result<()> {
    eventually(line, async || {
        let (_, told) = get(address, "/metrics").await?;
        Ok(if told.lines().any(|found| found == line) { Ok(()) } else { Err(told) })
    })
    .await
}

#[tokio::test]
async fn what_happens_is_counted_by_those_who_do_it() -> Result<()> {
    let (_server, world) = world().await?;
    let mut orchestrator = Told::start(&world, &["orchestrator", "--observe", ANY])?;
    let orchestrator = orchestrator_at(&mut orchestrator).await?;
    world.apply("mesh: v1\nname: counted\ntasks: {one: {agent: known}, two: {agent: unknown}}\n").await?;
    let arguments = ["agent", "exec", "--capability", "known", "--observe", ANY, "--", "cat"];
    let mut agent = Told::start(&world, &arguments)?;
    let agent = agent.address().await?;
    mesh_bus::submit(&*world.bus, &world.request("counted", "1", serde_json::json!({}))?).await?;
    mesh_bus::submit(&*world.bus, &world.request("missing", "1", serde_json::json!({}))?).await?;
    for line in [
        "mesh_runs_started_total{workflow=\"counted\"} 1",
        "mesh_runs_ended_total{outcome=\"completed\",workflow=\"counted\"} 0",
        "mesh_tasks_created_total{capability=\"known\"} 1",
        "mesh_tasks_ended_total{capability=\"known\",outcome=\"completed\"} 1",
        "mesh_task_duration_seconds_count{capability=\"known\"} 1",
        "mesh_requests_rejected_total{code=\"unknown_workflow\"} 1",
        "mesh_runs{state=\"active\"} 1",
        "mesh_runs{state=\"waiting\"} 0",
        "mesh_queue_depth{capability=\"unknown\",lane=\"normal\"} 1",
        "mesh_capability_agents{capability=\"unknown\"} 0",
        "mesh_capability_agents{capability=\"known\"} 1",
        "mesh_capability_capacity{capability=\"known\"} 10",
        "mesh_shard_backlog{shard=\"7\"} 0",
        "mesh_shard_owned{shard=\"0\"} 1",
    ] {
        has(orchestrator, line).await?;
    }
    for line in [
        "mesh_agent_outcomes_total{capability=\"known\",outcome=\"completed\"} 1",
        "mesh_agent_tasks_running{capability=\"known\"} 0",
        "mesh_agent_capacity{capability=\"known\"} 10",
        "mesh_agent_schedule_to_start_duration_seconds_count{capability=\"known\"} 1",
        "mesh_dead_letters_total{reason=\"poison\"} 0",
    ] {
        has(agent, line).await?;
    }
    world.apply("mesh: v1\nname: dropped\ntasks: {one: {agent: nobody}}\n").await?;
    let request = world.request("dropped", "1", object!({}))?;
    mesh_bus::submit(&*world.bus, &request).await?;
    has(orchestrator, "mesh_tasks_created_total{capability=\"nobody\"} 1").await?;
    let run = mesh_bus::run_of(&*world.bus, &request).await?.to_string();
    let mut cancel = tokio::process::Command::new(mesh_tests::mesh_binary()?);
    cancel.args(["runs", "cancel", &run]);
    cancel.env("MESH_NATS_URL", &world.url).env("MESH_NAMESPACE", world.namespace.as_str());
    anyhow::ensure!(cancel.output().await?.status.success(), "the run is cancelled");
    for line in [
        "mesh_tasks_ended_total{capability=\"nobody\",outcome=\"given_up\"} 1",
        "mesh_tasks_ended_total{capability=\"nobody\",outcome=\"failed\"} 0",
        "mesh_runs_ended_total{outcome=\"cancelled\",workflow=\"dropped\"} 1",
    ] {
        has(orchestrator, line).await?;
    }
    // What one run tells another is no work of an agent.
    world.apply("mesh: v1\nname: inner\ntasks: {one: {agent: known}}\n").await?;
    world.apply("mesh: v1\nname: outer\ntasks: {one: {workflow: inner}}\n").await?;
    mesh_bus::submit(&*world.bus, &world.request("outer", "1", object!({}))?).await?;
    has(orchestrator, "mesh_runs_ended_total{outcome=\"completed\",workflow=\"outer\"} 1").await?;
    let (_, told) = get(orchestrator, "/metrics").await?;
    let mut ended = told.lines().filter(|line| line.starts_with("mesh_tasks_ended_total{"));
    let is_of_agents = |line: &str| {
        ["known", "nobody", "unknown"].iter().any(|agent| line.contains(&format!("=\"{agent}\"")))
    };
    anyhow::ensure!(ended.all(is_of_agents), "{told}");
    anyhow::ensure!(
        told.contains("mesh_tasks_ended_total{capability=\"known\",outcome=\"completed\"} 2\n"),
        "{told}"
    );
    let mut other = Told::start(&world, &["agent", "exec", "--capability", "unknown", "--", "cat"])?;
    other.says("agent ready").await?;
    for line in [
        "mesh_runs_ended_total{outcome=\"completed\",workflow=\"counted\"} 1",
        "mesh_run_duration_seconds_count{outcome=\"completed\",workflow=\"counted\"} 1",
        "mesh_runs{state=\"active\"} 0",
        "mesh_queue_depth{capability=\"unknown\",lane=\"normal\"} 0",
        "mesh_capability_agents{capability=\"unknown\"} 1",
    ] {
        has(orchestrator, line).await?;
    }
    Ok(())
}

/// One that has had nothing of a run so far reads it from the log, and counts what comes then.
#[tokio::test]
async fn what_happens_after_a_run_was_read_from_the_log_is_counted_too() -> Result<()> {
    let (_server, world) = world().await?;
    let mut first = Told::start(&world, &["orchestrator", "--observe", ANY])?;
    let address = orchestrator_at(&mut first).await?;
    world.apply("mesh: v1\nname: handed\ntasks: {one: {agent: late}}\n").await?;
    mesh_bus::submit(&*world.bus, &world.request("handed", "1", serde_json::json!({}))?).await?;
    has(address, "mesh_tasks_created_total{capability=\"late\"} 1").await?;
    // It is killed.
    drop(first);
    let mut second = Told::start(&world, &["orchestrator", "--observe", ANY])?;
    let address = orchestrator_at(&mut second).await?;
    let mut agent = Told::start(&world, &["agent", "exec", "--capability", "late", "--", "cat"])?;
    agent.says("agent ready").await?;
    for line in [
        "mesh_tasks_ended_total{capability=\"late\",outcome=\"completed\"} 1",
        "mesh_runs_ended_total{outcome=\"completed\",workflow=\"handed\"} 1",
        "mesh_run_duration_seconds_count{outcome=\"completed\",workflow=\"handed\"} 1",
        "mesh_run_cache_lookups_total{result=\"miss\"} 1",
        "mesh_run_rehydration_duration_seconds_count 1",
    ] {
        has(address, line).await?;
    }
    Ok(())
}

async fn orchestrator_at(orchestrator: &mut Told) -> Result<std::net::SocketAddr> {
    let address = orchestrator.address().await?;
    answers(address, "/readyz", 200).await?;
    Ok(address)
}

#[tokio::test]
async fn an_agent_without_a_source_of_work_says_so_until_it_has_one() -> Result<()> {
    let (_server, world) = world().await?;
    let mut agent =
        Told::start(&world, &["agent", "exec", "--capability", "early", "--observe", ANY, "--", "cat"])?;
    let address = agent.address().await?;
    let wrong = answers(address, "/readyz", 503).await?;
    assert!(wrong.starts_with("no source of work for capability early: "), "{wrong}");
    let instances = world.bus.instances("early").await?;
    let report = &instances.first().context("it is visible")?.report;
    assert_eq!(report["problems"][0].as_str(), Some(wrong.trim_end()), "{report}");
    let orchestrator = world.orchestrator().await?;
    answers(address, "/readyz", 200).await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn an_address_that_was_chosen_must_be_had_and_the_default_need_not() -> Result<()> {
    let (_server, world) = world().await?;
    let taken = TcpListener::bind(ANY)?;
    let address = taken.local_addr()?.to_string();
    for arguments in [
        vec!["orchestrator", "--observe", &address],
        vec!["agent", "exec", "--capability", "a", "--observe", &address, "--", "cat"],
    ] {
        let mut refused = Told::start(&world, &arguments)?;
        let said = refused.says("MESH-606").await?;
        assert!(said.contains(&format!("metrics and health cannot be told at {address}")), "{said}");
        assert_eq!(refused.ended().await?, Some(1));
    }
    // Another test's orchestrator may have it, and end.
    let _held = eventually("the default address", async || {
        Ok(TcpListener::bind(mesh_telemetry::DEFAULT_ADDRESS).map_err(|error| error.to_string()))
    })
    .await?;
    let mut orchestrator = Told::start(&world, &["orchestrator"])?;
    orchestrator.says("another process has 127.0.0.1:9464").await?;
    orchestrator.says("orchestrator ready").await?;
    Ok(())
}

/// What they say in `nats micro stats` is told by `mesh doctor`.
#[tokio::test]
async fn the_doctor_tells_what_processes_say_is_wrong_with_them() -> Result<()> {
    let (_server, world) = world().await?;
    let orchestrator = world.orchestrator().await?;
    let agent =
        object!({"agent": "ill-1", "type": "ill", "capabilities": ["x"], "capacity": 1, "version": "1.0.0"});
    world.bus.put(Bucket::Agents, "ill-1", agent.to_string().into(), None).await?;
    let problem = "no source of work for capability x: why";
    let report = Arc::new(move || object!({"problems": [problem]}));
    let _ill = world.bus.announce("ill", "1.0.0", "an agent that is ill", report).await?;
    let report = Arc::new(|| object!({"problems": ["shard 3 cannot be followed: why"]}));
    let other = world.bus.announce(mesh_orchestrator::SERVICE, "1.0.0", "another", report).await?;
    let mut doctor = tokio::process::Command::new(mesh_tests::mesh_binary()?);
    doctor.arg("doctor").env("MESH_NATS_URL", &world.url).env("MESH_NAMESPACE", world.namespace.as_str());
    let said = String::from_utf8(doctor.output().await?.stdout)?;
    for line in [
        format!("an agent 'ill' says: {problem}"),
        format!("{} says: shard 3 cannot be followed: why", other.id()),
    ] {
        anyhow::ensure!(said.contains(&line), "{line} is missing:\n{said}");
    }
    orchestrator.stop().await
}

#[tokio::test]
async fn an_orchestrator_reports_what_is_wrong_as_a_service_too() -> Result<()> {
    let (_server, world) = world().await?;
    let orchestrator = world.orchestrator().await?;
    let instances = world.bus.instances(mesh_orchestrator::SERVICE).await?;
    let report = json(&instances.first().context("it is visible")?.report.to_string())?;
    assert_eq!(report["problems"], serde_json::json!([]));
    orchestrator.stop().await
}
