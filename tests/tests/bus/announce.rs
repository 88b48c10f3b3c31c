use std::sync::Arc;

use anyhow::{Context as _, Result};
use mesh_bus::{Bus, BusError};
use serde_json::json;

use crate::support::{LONG, World};

#[tokio::test]
async fn a_service_answers_until_it_is_dropped() -> Result<()> {
    let world = World::new().await?;
    let service =
        world.bus.announce("risk", "1.2.3", "Looks at risks", Arc::new(|| json!({"load": 3}))).await?;
    let client = async_nats::connect(world.server.url()).await?;
    let info = client.request("$SRV.INFO.risk", "".into()).await?;
    let info: serde_json::Value = serde_json::from_slice(&info.payload)?;
    assert_eq!((&info["name"], &info["version"]), (&"risk".into(), &"1.2.3".into()));
    assert_eq!(info["description"], "Looks at risks");
    let answer = client.request(format!("{}.service.state.risk", world.bus.namespace()), "".into()).await?;
    assert_eq!(answer.payload, r#"{"load":3}"#);
    drop(service);
    let gone = async { while client.request("$SRV.PING.risk", "".into()).await.is_ok() {} };
    tokio::time::timeout(LONG, gone).await.context("it still answers")?;
    let unnamed = world.bus.announce("risk", "not a version", "", Arc::new(|| json!(null))).await;
    assert!(matches!(unnamed, Err(BusError::Refused { .. })));
    Ok(())
}
