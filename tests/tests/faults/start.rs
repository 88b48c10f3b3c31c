//! Orchestrators that start at the same time, or with other settings than those there are.

use anyhow::{Context as _, Result, ensure};
use mesh_bus::topology::Topology;
use mesh_orchestrator::Options;
use mesh_schemas::Shards;
use mesh_tests::{TestServer, World};

use crate::support::{CHAIN, all_complete, is_well_and_complete, load, worker};

#[tokio::test]
async fn several_set_up_an_empty_server_at_once() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let started = futures::future::join_all((0..4).map(|_| world.orchestrator())).await;
    let orchestrators = started.into_iter().collect::<Result<Vec<_>>>()?;
    let agent = world.agent(worker()).await?;
    world.apply(CHAIN).await?;
    let runs = load(&world, 20).await?;
    all_complete(&world, &runs).await?;
    is_well_and_complete(&world).await?;
    agent.stop().await?;
    for orchestrator in orchestrators {
        orchestrator.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn another_number_of_shards_is_refused_and_nothing_touched() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    world.apply(CHAIN).await?;
    for count in [1, 4, 64] {
        let shards = Shards::new(count).context("a number of shards")?;
        let options = Options { topology: Topology { shards, ..Topology::default() }, ..Options::default() };
        let error = world.orchestrator_with(options).await.err().context("it started")?;
        let text = format!("{error:#}");
        let says = [format!("it has 8 shards, not {count}"), "ask for 8 shards".to_owned()];
        ensure!(says.iter().all(|part| text.contains(part)), "{text}");
    }
    is_well_and_complete(&world).await?;
    agent.stop().await?;
    orchestrator.stop().await
}
