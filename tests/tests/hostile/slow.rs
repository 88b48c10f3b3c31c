//! A server that answers late: a slow disk, or a machine that has too much to do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use mesh_tests::{Audit, TestServer};

use crate::support::{Folder, Mesh, worker};

/// How long it stands still, and how long it goes on, in turn.
const STILL: Duration = Duration::from_millis(400);
const GOING: Duration = Duration::from_millis(50);
/// Runs meanwhile.
const RUNS: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_most_of_the_time() -> Result<()> {
    let server = TestServer::start()?;
    let mesh = Mesh::on(&server.url(), Folder::new()?).await?;
    let agent = mesh.world.agent(worker()).await?;
    let is_over = AtomicBool::new(false);
    let stutter = async {
        while !is_over.load(Ordering::Relaxed) {
            server.stop_signal()?;
            tokio::time::sleep(STILL).await;
            server.cont()?;
            tokio::time::sleep(GOING).await;
        }
        anyhow::Ok(())
    };
    let work = async {
        let runs: Vec<_> = futures::future::try_join_all((0..RUNS).map(|number| mesh.start(number))).await?;
        for (number, run) in (0..).zip(runs) {
            mesh.completes(run, number).await?;
        }
        is_over.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    futures::try_join!(stutter, work)?;
    let audit = Audit::when_idle(&mesh.world, &["work"]).await?;
    assert_eq!(audit.created.len() as u64, RUNS * 2);
    agent.stop().await?;
    mesh.end()
}
