//! Brings requests and due timers from the inbox into the log.

mod archived;
mod beginning;
mod child;
mod reject;
mod request;
mod rerun;
#[cfg(test)]
mod tests;
pub(crate) mod timer;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use mesh_bus::topology::{relay_consumer, timer_consumer};
use mesh_bus::{ConsumerSpec, DeadEnd, Delivery, Flow, Target};
use mesh_schemas::{StoredMessage, Subject, SubjectError};
use mesh_telemetry::metrics::table::REDELIVERED;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub(crate) use archived::Looks;
use child::Caller;

use crate::lease::Lease;
use crate::pressure::Pressure;
use crate::service::{Shared, until_it_works};
use crate::store::{self, Lost};

/// Messages in hand at once in one orchestrator: enough to hide the round trips of each.
const AT_ONCE: usize = 256;

/// Relays requests until `stop`, then finishes what is in hand. While the log is nearly full, they wait in the inbox.
pub(crate) async fn requests(shared: Arc<Shared>, stop: CancellationToken) {
    let spec = relay_consumer(shared.bus.namespace());
    let gate = Some(shared.pressure.clone());
    run(shared, spec, gate, stop).await;
}

/// Relays due timers, and what runs ask for, until `stop`, then finishes what is in hand. Runs that have begun go on, however full the log is.
pub(crate) async fn timers(shared: Arc<Shared>, stop: CancellationToken) {
    let spec = timer_consumer(shared.bus.namespace());
    run(shared, spec, None, stop).await;
}

async fn run(shared: Arc<Shared>, spec: ConsumerSpec, mut gate: Option<Pressure>, stop: CancellationToken) {
    let mut at_work = FuturesUnordered::new();
    while !stop.is_cancelled() {
        let mut budget = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(()) = at_work.next(), if !at_work.is_empty() => continue,
            budget = opened(gate.as_mut()) => budget,
        };
        let consume = || shared.bus.consume(&spec, Flow::Continuous(AT_ONCE));
        let Some(mut inbox) = until_it_works("reading the inbox", &stop, consume).await else { break };
        while budget > 0 {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                now = changed(gate.as_mut()) => {
                    budget = now;
                    gate.iter().for_each(|pressure| pressure.slows(false));
                }
                Some(()) = at_work.next(), if !at_work.is_empty() => {}
                delivery = inbox.next(), if at_work.len() < AT_ONCE => match delivery {
                    Ok(delivery) => {
                        if gate.is_some() {
                            let bytes = delivery.stored.message.payload.len().max(1);
                            budget = budget.saturating_sub(bytes as u64);
                        }
                        at_work.push(handle(Arc::clone(&shared), delivery));
                    }
                    Err(error) => {
                        warn!(%error, "reading the inbox: beginning anew");
                        break;
                    }
                },
            }
        }
        gate.iter().for_each(|pressure| pressure.slows(budget == 0));
        inbox.stop().await;
    }
    while at_work.next().await.is_some() {}
}

/// Waits until something may be taken, and says how many bytes of it may be taken until the next change.
async fn opened(gate: Option<&mut Pressure>) -> u64 {
    let Some(gate) = gate else { return u64::MAX };
    loop {
        match changed(Some(gate)).await {
            0 => {}
            budget => return budget,
        }
    }
}

/// Waits for the next look at how full the log is, and says how many bytes may be taken until the one after.
async fn changed(gate: Option<&mut Pressure>) -> u64 {
    if let Some(gate) = gate
        && gate.budget.changed().await.is_ok()
    {
        let budget = *gate.budget.borrow_and_update();
        return if gate.is_nearly_full() { 0 } else { budget };
    }
    // Nobody looks, or not any more.
    std::future::pending().await
}

async fn handle(shared: Arc<Shared>, delivery: Delivery) {
    let (lease, stored) = Lease::new(Arc::clone(&shared.bus), delivery);
    if lease.delivered > 1 {
        REDELIVERED.add(1, ["inbox"]);
    }
    // Boxed, as it is large for all that a request may turn out to be.
    match lease.hold(Box::pin(relay(&shared, &lease, &stored))).await {
        Some(Ok(())) => lease.ack().await,
        Some(Err(Lost)) | None => {
            debug!(subject = stored.message.subject, "not dealt with: another delivery will see to it");
        }
    }
}

/// Leaves a message to a newer orchestrator, who may take it: whoever asks next gets it.
async fn leave(lease: &Lease) -> Result<(), Lost> {
    /// Long enough not to go round in circles while the newer one is busy.
    const PAUSE: Duration = Duration::from_millis(250);
    lease.nak(PAUSE).await;
    Err(Lost)
}

async fn relay(shared: &Shared, lease: &Lease, stored: &StoredMessage) -> Result<(), Lost> {
    let subject = Subject::parse(shared.bus.namespace(), &stored.message.subject);
    match subject {
        Ok(Subject::WorkflowRequested { workflow }) => {
            request::relay(shared, lease, stored, Target::Workflow(workflow), None).await
        }
        Ok(Subject::TaskRequested { capability }) => {
            request::relay(shared, lease, stored, Target::Task(capability), None).await
        }
        Ok(Subject::Called { workflow, run, task, attempt }) => {
            let caller = Some(Caller { run, task, attempt });
            request::relay(shared, lease, stored, Target::Workflow(workflow), caller).await
        }
        Ok(Subject::TimerDue { run, timer }) => timer::relay(shared, lease, stored, run, timer).await,
        Err(_) if shared.presence.has_newer() => leave(lease).await,
        Ok(_) | Err(SubjectError::Unknown { .. }) => {
            let error = "the inbox takes requests and timers that are due only";
            store::letter(&*shared.bus, lease, DeadEnd::InboxType, stored, error).await.map(drop)
        }
        Err(error) => {
            reject::unreadable(shared, lease, DeadEnd::InboxSubject, stored, None, &error.to_string()).await
        }
    }
}
