//! A server that takes smaller messages than others.

use anyhow::{Result, ensure};
use mesh_bus::RunOutcome;
use serde_json::json;

use crate::support::{Configured, Folder, Mesh, worker};

/// The limit is lowered while the mesh runs: what does not fit fails and says so, what fits goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_message_becomes_smaller() -> Result<()> {
    let folder = Folder::new()?;
    let configured = Configured::start(&folder, "max_payload: 1MB")?;
    let mesh = Mesh::on(&configured.server.url(), folder).await?;
    let agent = mesh.world.agent(worker()).await?;
    let text = "x".repeat(40_000);
    let large = json!({ "n": 1, "text": text });
    ensure!(matches!(mesh.world.run("one", large.clone()).await?, RunOutcome::Completed(_)), "it fits");
    configured.reload("max_payload: 16KB")?;
    let told = tokio::time::timeout(mesh_tests::PATIENCE, async {
        loop {
            match mesh.world.run("one", large.clone()).await {
                Ok(RunOutcome::Completed(_)) => {}
                other => return other,
            }
        }
    });
    match told.await? {
        // Whoever asked is told at once, if the server had told its clients by then; else the run is.
        Err(error) => ensure!(format!("{error:#}").contains("too large"), "{error:#}"),
        Ok(RunOutcome::Failed(failed)) => ensure!(failed.error.code == "payload_too_large", "{failed:?}"),
        Ok(RunOutcome::Rejected(rejected)) => ensure!(rejected.code == "malformed", "{rejected:?}"),
        Ok(other) => anyhow::bail!("{other:?}"),
    }
    let run = mesh.start(2).await?;
    mesh.completes(run, 2).await?;
    configured.reload("max_payload: 1MB")?;
    let run = mesh.start(3).await?;
    mesh.completes(run, 3).await?;
    agent.stop().await?;
    mesh.end()
}
