//! The NATS server killed under load; everyone else stays up.

use anyhow::{Result, ensure};
use mesh_tests::{Process, TestServer, World};

use crate::support::{all_complete, ends, is_well_and_complete, load, set_up, worker};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load() -> Result<()> {
    let mut server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = Process::orchestrator(&world)?;
    set_up(&world).await?;
    let agent = world.agent(worker()).await?;
    let kill_twice = async {
        for ended in [20, 90] {
            ends(&world, ended).await?;
            tokio::task::block_in_place(|| server.restart())?;
        }
        anyhow::Ok(())
    };
    let (runs, ()) = futures::try_join!(load(&world, 200), kill_twice)?;
    all_complete(&world, &runs).await?;
    let audit = is_well_and_complete(&world).await?;
    ensure!(audit.created.len() == 201 * 3 + 51, "{} tasks", audit.created.len());
    agent.stop().await?;
    ensure!(orchestrator.terminate()?, "the orchestrator did not end well");
    Ok(())
}
