//! A server that has no room left.

use anyhow::{Result, ensure};
use async_nats::jetstream::{self, stream};
use mesh_bus::topology::Stream;
use mesh_tests::World;

use crate::support::{Configured, Folder, Mesh};

/// Fills what is left of a server's room with messages of somebody else's.
async fn fill(world: &World) -> Result<jetstream::Context> {
    let context = jetstream::new(async_nats::connect(world.servers()?).await?);
    let config = stream::Config {
        name: "OTHERS".to_owned(),
        subjects: vec!["others".to_owned()],
        ..stream::Config::default()
    };
    context.create_stream(config).await?;
    for size in [128 * 1024, 8 * 1024, 512, 1] {
        while context.publish("others", vec![b'x'; size].into()).await?.await.is_ok() {}
    }
    Ok(context)
}

/// The server refuses what would be more than it may keep: those who publish say so and wait. When others have made
/// room, all goes on.
#[tokio::test]
async fn the_room_that_the_server_may_use() -> Result<()> {
    let folder = Folder::new()?;
    let configured = Configured::start(&folder, "jetstream { max_file_store: 16MB }")?;
    let mesh = Mesh::on(&configured.server.url(), folder).await?;
    // Each task waits until there is a file, so that it ends when there is no room any more.
    let ready = mesh.folder.path("ready");
    let script = format!("while [ ! -e {} ]; do sleep 0.05; done; cat", ready.display());
    let agent =
        mesh.process(&["agent", "exec", "--capability", "work", "--", "sh", "-c", &script], "agent.log")?;
    let run = mesh.start(1).await?;
    mesh.world.first(Stream::Notes, "task.assigned.work.>").await?;
    let context = fill(&mesh.world).await?;
    std::fs::write(&ready, "")?;
    mesh.says("agent.log", &["cannot be stored", "insufficient resources", "trying again"]).await?;
    let submitted = async {
        let mut submitted = std::pin::pin!(mesh.start(2));
        // It is not stored as long as there is no room.
        let early = tokio::time::timeout(std::time::Duration::from_secs(1), &mut submitted).await;
        ensure!(early.is_err(), "there was room for a request");
        context.delete_stream("OTHERS").await?;
        submitted.await
    };
    let later = submitted.await?;
    mesh.completes(run, 1).await?;
    mesh.completes(later, 2).await?;
    ensure!(agent.terminate()?, "the agent did not end well");
    mesh.end()
}
