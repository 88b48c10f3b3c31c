//! Orchestrators that are killed, stopped in order, and stopped in their tracks, in the middle of runs.

use anyhow::{Result, ensure};
use mesh_tests::{Process, TestServer, World};

use crate::support::{all_complete, ends, is_well_and_complete, load, set_up, worker};

#[tokio::test]
async fn killed_and_started_again() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let first = Process::orchestrator(&world)?;
    set_up(&world).await?;
    let agent = world.agent(worker()).await?;
    let runs = load(&world, 200).await?;
    ends(&world, 60).await?;
    first.kill9()?;
    let second = Process::orchestrator(&world)?;
    all_complete(&world, &runs).await?;
    let audit = is_well_and_complete(&world).await?;
    ensure!(audit.created.len() == 201 * 3 + 51, "{} tasks", audit.created.len());
    agent.stop().await?;
    ensure!(second.terminate()?, "the orchestrator did not end well");
    Ok(())
}

#[tokio::test]
async fn killed_while_another_stands_by() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let first = Process::orchestrator(&world)?;
    set_up(&world).await?;
    let second = Process::orchestrator(&world)?;
    let agent = world.agent(worker()).await?;
    let runs = load(&world, 200).await?;
    ends(&world, 60).await?;
    first.kill9()?;
    all_complete(&world, &runs).await?;
    let audit = is_well_and_complete(&world).await?;
    ensure!(audit.created.len() == 201 * 3 + 51, "{} tasks", audit.created.len());
    agent.stop().await?;
    ensure!(second.terminate()?, "the orchestrator did not end well");
    Ok(())
}

#[tokio::test]
async fn two_from_the_start_of_which_one_leaves() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let (first, second) = (Process::orchestrator(&world)?, Process::orchestrator(&world)?);
    set_up(&world).await?;
    let agent = world.agent(worker()).await?;
    let runs = load(&world, 200).await?;
    ends(&world, 60).await?;
    ensure!(first.terminate()?, "the orchestrator did not end well");
    all_complete(&world, &runs).await?;
    let audit = is_well_and_complete(&world).await?;
    ensure!(audit.created.len() == 201 * 3 + 51, "{} tasks", audit.created.len());
    agent.stop().await?;
    ensure!(second.terminate()?, "the orchestrator did not end well");
    Ok(())
}

/// One that sleeps through a takeover wakes up with old decisions in hand.
#[tokio::test]
async fn stopped_past_a_takeover() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let sleeper = Process::orchestrator(&world)?;
    set_up(&world).await?;
    let agent = world.agent(worker()).await?;
    let mut runs = load(&world, 200).await?;
    ends(&world, 60).await?;
    sleeper.freeze()?;
    let other = Process::orchestrator(&world)?;
    all_complete(&world, &runs).await?;
    sleeper.thaw()?;
    runs.extend(load(&world, 50).await?);
    all_complete(&world, &runs).await?;
    // What the sleeper does now is done by it alone.
    other.kill9()?;
    let audit = is_well_and_complete(&world).await?;
    ensure!(audit.created.len() == 251 * 3 + 50 + 13 + 1, "{} tasks", audit.created.len());
    agent.stop().await?;
    ensure!(sleeper.terminate()?, "the orchestrator did not end well");
    Ok(())
}
