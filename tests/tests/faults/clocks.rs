//! Waits that outlive those who set them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, RunOutcome};
use mesh_schemas::Message;
use mesh_schemas::payload::code;
use mesh_tests::{Process, TestServer, World, patiently};
use serde_json::{Value, json};

use crate::support::{ends, is_well_and_complete, set_up, worker};

const PATIENT: &str = "
mesh: v1
name: patient
output: '${tasks.t.output.n}'
tasks:
  t: {agent: work, retry: {max_attempts: 2, initial: 3s, jitter: 0}}
";

const ENDLESS: &str = "
mesh: v1
name: endless
timeout: 3s
tasks: {t: {agent: nobody}}
";

#[tokio::test]
async fn timers_outlive_orchestrator_and_server() -> Result<()> {
    let mut server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let first = Process::orchestrator(&world)?;
    set_up(&world).await?;
    let agent = world.agent(worker()).await?;
    world.apply(PATIENT).await?;
    world.apply(ENDLESS).await?;
    let mut set = world.bus.subscribe(&format!("{}.timer.set.>", world.namespace)).await?;
    let patient = world.start("patient", json!({"n": 1, "failures": 1})).await?;
    let endless = world.start("endless", json!({})).await?;
    let wanted = [format!("{patient}.retry-t-1"), format!("{endless}.deadline")];
    let mut due = BTreeMap::new();
    while due.len() < wanted.len() {
        let message = patiently("timers", set.next()).await?.context("the subscription ended")?;
        if let Some(timer) = wanted.iter().find(|timer| message.subject.ends_with(*timer)) {
            due.insert(timer, read_due(&message)?);
        }
    }
    first.kill9()?;
    server.restart()?;
    let second = Process::orchestrator(&world)?;
    ends(&world, 2).await?;
    let RunOutcome::Completed(completed) = world.ended(patient).await? else { bail!("no second attempt") };
    ensure!(completed.output == json!(1), "{completed:?}");
    let RunOutcome::Failed(failed) = world.ended(endless).await? else { bail!("no deadline") };
    ensure!(failed.error.code == code::TIMEOUT, "{failed:?}");
    for (timer, due) in due {
        let fired = world.first(Stream::Events, &format!("timer.fired.-.-.{timer}")).await?;
        ensure!(fired.time >= due, "the timer {timer} for {due} fired at {}", fired.time);
    }
    is_well_and_complete(&world).await?;
    agent.stop().await?;
    ensure!(second.terminate()?, "the orchestrator did not end well");
    Ok(())
}

fn read_due(set: &Message) -> Result<DateTime<Utc>> {
    let event: Value = serde_json::from_slice(&set.payload)?;
    Ok(event["data"]["due"].as_str().context("a timer without a time")?.parse()?)
}
