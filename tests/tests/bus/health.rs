use anyhow::Result;
use mesh_bus::Bus;
use mesh_bus::nats::{ConnectOptions, NatsBus};
use mesh_tests::TestServer;

use crate::support::{World, connect};

#[tokio::test]
async fn the_server_is_told_by_its_version() -> Result<()> {
    let server = TestServer::start()?;
    let health = connect(&server).await?.health().await?;
    assert!(health.server.version.starts_with("2."), "{health:?}");
    Ok(())
}

#[tokio::test]
async fn only_processes_of_the_namespace_are_told() -> Result<()> {
    let world = World::new().await?;
    let options = ConnectOptions::new(&world.server.url()).namespace("other".parse()?);
    let other = NatsBus::connect(options).await?;
    assert_eq!(world.bus.instances("risk").await?, []);
    let report = || -> mesh_bus::Report { std::sync::Arc::new(|| serde_json::Value::Null) };
    let _ours = world.bus.announce("risk", "1.2.3", "ours", report()).await?;
    let _theirs = other.announce("risk", "3.2.1", "theirs", report()).await?;
    let versions = |instances: Vec<mesh_bus::Instance>| -> Vec<String> {
        instances.into_iter().map(|instance| instance.version).collect()
    };
    assert_eq!(versions(world.bus.instances("risk").await?), ["1.2.3"]);
    assert_eq!(versions(other.instances("risk").await?), ["3.2.1"]);
    Ok(())
}
