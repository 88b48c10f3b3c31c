//! Being known: the entry in the registry, and the events that go with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_bus::topology::{AGENT_HEARTBEAT, AGENT_TTL, Bucket};
use mesh_bus::{Bus, Publish};
use mesh_schemas::payload::{AgentDeregistered, AgentRegistered};
use mesh_schemas::{AgentVerb, Envelope, Message, Subject};
use serde::Serialize;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

/// Longest time that a stopping agent takes to leave the registry.
const GOODBYE: Duration = Duration::from_secs(2);

/// Registers the agent, renews its entry until `farewell`, and takes it out again. An agent that cannot register
/// works all the same: nothing depends on the registry.
pub(crate) async fn keep_alive(bus: Arc<dyn Bus>, agent: AgentRegistered, farewell: CancellationToken) {
    tokio::select! {
        biased;
        () = farewell.cancelled() => {}
        () = announce(&*bus, &agent, AgentVerb::Registered, &agent) => {}
    }
    let mut ticks = tokio::time::interval(AGENT_HEARTBEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = false;
    loop {
        tokio::select! {
            biased;
            () = farewell.cancelled() => break,
            planned = ticks.tick() => warn_if_late(planned),
        }
        let entry = Bytes::from(serde_json::to_vec(&agent).unwrap_or_default());
        let put = tokio::select! {
            biased;
            () = farewell.cancelled() => break,
            put = bus.put(Bucket::Agents, agent.agent.as_str(), entry, Some(AGENT_TTL)) => put,
        };
        match put {
            Ok(_) => said = false,
            Err(error) if !said => {
                warn!(%error, "the agent cannot be kept in the registry; it works all the same");
                said = true;
            }
            Err(_) => {}
        }
        let _ = bus.notify(event(&*bus, &agent, AgentVerb::Heartbeat, &agent)).await;
    }
    if tokio::time::timeout(GOODBYE, say_goodbye(&*bus, &agent)).await.is_err() {
        warn!("the bus does not answer: the agent's entry stays in the registry until it expires");
    }
}

/// A heartbeat that comes late tells that something keeps the process from its other work: then tasks are not marked
/// in progress either, and others get them too.
fn warn_if_late(planned: tokio::time::Instant) {
    let late = planned.elapsed();
    if late > AGENT_HEARTBEAT {
        warn!(
            seconds = late.as_secs(),
            "nothing could be done beside the handlers for too long: is one of them blocking? Use \
             tokio::task::spawn_blocking for what computes or waits without `await`"
        );
    }
}

async fn say_goodbye(bus: &dyn Bus, agent: &AgentRegistered) {
    let goodbye = AgentDeregistered { agent: agent.agent.clone(), reason: "stopped".to_owned() };
    announce(bus, agent, AgentVerb::Deregistered, &goodbye).await;
    if let Err(error) = bus.delete(Bucket::Agents, agent.agent.as_str()).await {
        warn!(%error, "the agent's entry stays in the registry until it expires");
    }
}

async fn announce(bus: &dyn Bus, agent: &AgentRegistered, verb: AgentVerb, data: &impl Serialize) {
    if let Err(error) = bus.publish(Publish::plain(event(bus, agent, verb, data))).await {
        warn!(%error, "agent.{verb} was not stored; nothing depends on it");
    }
}

fn event(bus: &dyn Bus, agent: &AgentRegistered, verb: AgentVerb, data: &impl Serialize) -> Message {
    let subject = Subject::Agent { verb, agent: agent.agent.clone() };
    let data = serde_json::to_value(data).unwrap_or_default();
    let source = source(bus, &agent.type_);
    let mut event = Envelope::new(Uuid::new_v4().to_string(), source, subject.event_type(), data);
    event.time = Some(bus.now());
    let (headers, body) = event.encode().unwrap_or_default();
    Message { subject: subject.render(bus.namespace()), headers, payload: Bytes::from(body) }
}

/// `source` of every event that agents of a type write.
pub(crate) fn source(bus: &dyn Bus, type_: &str) -> String {
    format!("/{}/agents/{type_}", bus.namespace())
}
