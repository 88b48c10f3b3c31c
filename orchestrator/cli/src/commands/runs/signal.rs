//! Telling runs something.

use std::time::Duration;

use bytes::Bytes;
use mesh_bus::{Bus, Publish};
use mesh_schemas::{Decoded, Envelope, Message, RunId, SignalId, StoredMessage, Subject};
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

/// How long to try to have a signal stored: longer than a server takes to start again.
const PUBLISH_FOR: Duration = Duration::from_secs(30);
/// Pause between two tries.
const PUBLISH_PAUSE: Duration = Duration::from_millis(250);

/// Sends a run a signal with an id of its own: each telling is a fact.
pub(super) async fn send(
    bus: &dyn Bus,
    run: RunId,
    started: &StoredMessage,
    name: &str,
    data: &impl Serialize,
) -> anyhow::Result<()> {
    publish(bus, signal(bus, run, started, name, data)?).await
}

fn signal(
    bus: &dyn Bus,
    run: RunId,
    started: &StoredMessage,
    name: &str,
    data: &impl Serialize,
) -> anyhow::Result<Message> {
    let workflow = match Subject::parse(bus.namespace(), &started.message.subject)? {
        Subject::Workflow { workflow, .. } => workflow,
        _ => None,
    };
    let id = SignalId::new(Uuid::new_v4().to_string())?;
    let subject = Subject::Signalled { workflow, run, signal: SignalId::new(name)?, id };
    let data = serde_json::to_value(data)?;
    let id = subject.render(bus.namespace());
    let source = format!("/{}/cli", bus.namespace());
    let mut event = Envelope::new(id.clone(), source, subject.event_type(), data);
    event.time = Some(bus.now());
    event.correlationid = match Envelope::decode(&started.message.headers, &started.message.payload) {
        Ok(Decoded::Event(started)) => started.correlationid,
        _ => None,
    };
    let (headers, body) = event.encode()?;
    Ok(Message { subject: id, headers, payload: Bytes::from(body) })
}

async fn publish(bus: &dyn Bus, signal: Message) -> anyhow::Result<()> {
    let give_up = Instant::now() + PUBLISH_FOR;
    loop {
        match bus.publish(Publish::once(signal.clone())).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_retryable() && Instant::now() + PUBLISH_PAUSE < give_up => {
                tracing::debug!(%error, "signalling again");
                tokio::time::sleep(PUBLISH_PAUSE).await;
            }
            Err(error) => return Err(anyhow::Error::new(error).context("the run could not be signalled")),
        }
    }
}
