//! Names that lead nowhere.

use anyhow::{Result, ensure};
use mesh_bus::nats::{ConnectOptions, NatsBus};
use mesh_bus::{Bus as _, BusError};
use mesh_tests::{TestServer, World};

use crate::support::{Folder, Mesh, worker};

/// A host that no name service knows (RFC 6761).
const NOWHERE: &str = "nats://mesh.invalid:4222";

#[tokio::test]
async fn a_name_that_nobody_knows_is_told() -> Result<()> {
    let error = NatsBus::connect(ConnectOptions::new(NOWHERE)).await.map(drop);
    ensure!(matches!(error, Err(BusError::Connect { .. })), "{error:?}");
    let said = error.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(said.contains("mesh.invalid") && said.contains("MESH_NATS_URL"), "{said}");
    Ok(())
}

/// One of the names leads nowhere: the others are used, also when the connection has to be made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_lost_while_the_mesh_runs_is_passed_over() -> Result<()> {
    let mut server = TestServer::start()?;
    let url = format!("{NOWHERE},{}", server.url());
    let mesh = Mesh::on(&url, Folder::new()?).await?;
    let agent = mesh.world.agent(worker()).await?;
    for number in 0..3 {
        let run = mesh.start(number).await?;
        mesh.completes(run, number).await?;
        tokio::task::block_in_place(|| server.restart())?;
    }
    let other = World::on(&server.url()).await?;
    ensure!(other.bus.shards().await.is_err(), "another namespace is not set up");
    agent.stop().await?;
    mesh.end()
}
