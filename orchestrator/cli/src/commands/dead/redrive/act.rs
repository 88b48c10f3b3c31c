//! Sending what a letter is to lead to.

use std::time::Duration;

use mesh_bus::{Bus, Publish, SubmitError, submit};
use mesh_schemas::payload::rejection;

use super::plan::{Parcel, Send};
use crate::commands::runs::{Beginning, Begun};

/// How long an orchestrator may take to take a request up: one that runs does so at once.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(5);

/// What came of it.
pub(super) enum Acted {
    /// What it was sent for stands in the log.
    Done,
    /// The orchestrator put it aside again, so that it stands in a letter of its own.
    AsideAgain(String),
    Refused(String),
    /// No orchestrator has read it.
    Untaken,
}

/// Sends it, and waits until it is known whether it counts. Sending it again changes nothing more.
pub(super) async fn send(bus: &dyn Bus, send: &Send) -> anyhow::Result<Acted> {
    let beginning = match &send.parcel {
        // The log takes it as it is.
        Parcel::Fact(_) | Parcel::Timer(_) => None,
        Parcel::Request(_) | Parcel::Event(_) => Some(Beginning::before_submit(bus, &send.run).await?),
    };
    let sent = match &send.parcel {
        Parcel::Request(request) => submit(bus, request).await.map(drop),
        Parcel::Fact(message) => publish(bus, Publish::once(message.clone())).await,
        Parcel::Timer(message) | Parcel::Event(message) => {
            publish(bus, Publish::plain(message.clone())).await
        }
    };
    match sent {
        Err(error) if error.is_retryable() => return Err(error.into()),
        Err(error) => return Ok(Acted::Refused(error.to_string())),
        Ok(()) => {}
    }
    let Some(beginning) = beginning else { return Ok(Acted::Done) };
    Ok(match beginning.within(TAKEN_UP_WITHIN).await? {
        Begun::Started(_) => Acted::Done,
        Begun::Rejected(rejected) if rejected.code == rejection::MALFORMED => {
            Acted::AsideAgain(rejected.reasons.join("; "))
        }
        Begun::Rejected(rejected) => {
            Acted::Refused(format!("the request is rejected: {}", rejected.reasons.join("; ")))
        }
        Begun::NotYet => Acted::Untaken,
    })
}

async fn publish(bus: &dyn Bus, publish: Publish) -> Result<(), SubmitError> {
    bus.publish(publish).await.map(drop).map_err(SubmitError::Publish)
}
