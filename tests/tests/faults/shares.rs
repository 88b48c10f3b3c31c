//! Orchestrators that come and go: who has which shards, and that runs do not notice.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use mesh_bus::Bus as _;
use mesh_orchestrator::{OrchestratorReport, SERVICE};
use mesh_tests::{Process, TestServer, World, patiently};

use crate::support::{all_complete, is_well_and_complete, load, set_up, worker};

/// The shards of each orchestrator that is there.
async fn shares(world: &World) -> Result<Vec<BTreeSet<u32>>> {
    let reports = world.bus.instances(SERVICE).await?;
    let shards = |report: OrchestratorReport| report.shards.into_keys().collect();
    Ok(reports.into_iter().map(|instance| shards(OrchestratorReport::read(instance.report))).collect())
}

/// Waits until so many orchestrators have shared out the eight shards evenly, each shard to one of them.
async fn until_shared_by(world: &World, orchestrators: usize) -> Result<()> {
    let even = async {
        loop {
            let shares = shares(world).await?;
            let sizes: Vec<usize> = shares.iter().map(BTreeSet::len).collect();
            let is_even =
                sizes.iter().max().zip(sizes.iter().min()).is_some_and(|(most, least)| most - least <= 1);
            let all: BTreeSet<u32> = shares.iter().flatten().copied().collect();
            if shares.len() == orchestrators && is_even && sizes.iter().sum::<usize>() == 8 && all.len() == 8
            {
                return anyhow::Ok(());
            }
        }
    };
    patiently(&format!("{orchestrators} orchestrators to share out the shards"), even).await?
}

#[tokio::test]
async fn those_who_come_get_their_share_and_those_who_go_leave_it_to_the_others() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let first = Process::orchestrator(&world)?;
    set_up(&world).await?;
    let agent = world.agent(worker()).await?;
    let mut runs = load(&world, 50).await?;
    until_shared_by(&world, 1).await?;
    let (second, third) = (Process::orchestrator(&world)?, Process::orchestrator(&world)?);
    runs.extend(load(&world, 50).await?);
    until_shared_by(&world, 3).await?;
    runs.extend(load(&world, 50).await?);
    ensure!(second.terminate()?, "the orchestrator did not end well");
    until_shared_by(&world, 2).await?;
    runs.extend(load(&world, 50).await?);
    third.kill9()?;
    until_shared_by(&world, 1).await?;
    all_complete(&world, &runs).await?;
    is_well_and_complete(&world).await?;
    agent.stop().await?;
    ensure!(first.terminate()?, "the orchestrator did not end well");
    Ok(())
}

/// Each of three is replaced by another, while runs go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_changes_nothing() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let mut old = vec![Process::orchestrator(&world)?];
    set_up(&world).await?;
    old.extend([Process::orchestrator(&world)?, Process::orchestrator(&world)?]);
    let agent = world.agent(worker()).await?;
    until_shared_by(&world, 3).await?;
    let is_done = AtomicBool::new(false);
    let restart = async {
        let mut new = Vec::new();
        for old in old {
            new.push(Process::orchestrator(&world)?);
            until_shared_by(&world, 4).await?;
            ensure!(tokio::task::block_in_place(|| old.terminate())?, "the orchestrator did not end well");
            until_shared_by(&world, 3).await?;
        }
        is_done.store(true, Ordering::Relaxed);
        Ok(new)
    };
    let load = async {
        let mut runs = Vec::new();
        while !is_done.load(Ordering::Relaxed) {
            runs.extend(load(&world, 20).await?);
            all_complete(&world, &runs).await?;
        }
        anyhow::Ok(runs)
    };
    let (new, runs) = futures::try_join!(restart, load)?;
    let audit = is_well_and_complete(&world).await?;
    ensure!(audit.runs.len() == runs.len() + 1, "{} runs of {}", audit.runs.len(), runs.len() + 1);
    agent.stop().await?;
    for orchestrator in new {
        ensure!(orchestrator.terminate()?, "the orchestrator did not end well");
    }
    Ok(())
}
