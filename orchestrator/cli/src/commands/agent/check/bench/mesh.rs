//! What is changed on the server by hand during a trial.

use mesh_bus::nats::NatsBus;
use mesh_bus::topology::{Stream, agent_consumer};
use mesh_bus::{Bus as _, BusError};
use mesh_schemas::{Capability, Lane};
use serde_json::{Value, json};

/// How far a consumer is.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Progress {
    /// Sequence of the newest message that was delivered to anyone.
    pub(in super::super) sequence: u64,
    /// How many deliveries there were.
    pub(in super::super) deliveries: u64,
    /// How many messages are delivered and not acknowledged.
    pub(in super::super) in_hand: u64,
}

/// How far the consumer of a capability is.
pub(super) async fn progress(bus: &NatsBus, capability: &Capability) -> Result<Progress, BusError> {
    let spec = agent_consumer(bus.namespace(), capability, &Lane::Normal);
    let operation = format!("CONSUMER.INFO.{}.{}", spec.stream.name(bus.namespace()), spec.name);
    let info = bus.jetstream(&operation, &json!({})).await?;
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    Ok(Progress {
        sequence: number(&info["delivered"]["stream_seq"]),
        deliveries: number(&info["delivered"]["consumer_seq"]),
        in_hand: number(&info["num_ack_pending"]),
    })
}

/// Has the log refuse outcomes, or take them again. Everything else about runs is taken all the while.
pub(super) async fn take_outcomes(bus: &NatsBus, take: bool) -> anyhow::Result<()> {
    let namespace = bus.namespace();
    let name = Stream::Events.name(namespace);
    let mut config = bus.jetstream(&format!("STREAM.INFO.{name}"), &json!({})).await?["config"].take();
    let of_tasks = format!("{namespace}.task.");
    let all = Stream::Events.subjects(namespace, bus.shards().await?);
    let subjects: Vec<_> =
        all.into_iter().filter(|subject| take || !subject.starts_with(&of_tasks)).collect();
    config["subjects"] = json!(subjects);
    bus.jetstream(&format!("STREAM.UPDATE.{name}"), &config).await?;
    Ok(())
}
