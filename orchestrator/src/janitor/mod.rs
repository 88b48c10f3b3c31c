//! Tidies up behind runs that have ended: moves what happened in them to their histories, and later forgets them.
//!
//! Nothing is looked for: the ends of runs come in the order of the log, and each is put off until its time has come. All
//! orchestrators share the work. Everything may be done twice, at once or again after a crash between any two steps.

mod patience;
pub(crate) mod sweep;
mod tidy;
mod trouble;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use mesh_bus::topology::{JANITOR_MAX_ACK_PENDING, Tidying, janitor_consumer};
use mesh_bus::{Delivery, Flow};
use mesh_schemas::Subject;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::lease::Lease;
use crate::service::{Shared, until_it_works};
pub(crate) use patience::Patience;
use tidy::tidy;
pub(crate) use tidy::{NotDone, late};
pub(crate) use trouble::Troubles;
use wait::{Wait, until_due};

/// Ends in hand at once in one orchestrator.
const AT_ONCE: usize = JANITOR_MAX_ACK_PENDING as usize;
/// Pause before a run is looked at again that could not be tidied up.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// The same if somebody has to mend something first.
const REFUSED_PAUSE: Duration = Duration::from_secs(20);

/// Does one of the two tasks until `stop`, then finishes what is in hand and hands the rest back.
pub(crate) async fn run(shared: Arc<Shared>, tidying: Tidying, stop: CancellationToken) {
    let spec = janitor_consumer(shared.bus.namespace(), tidying);
    let mut at_work = FuturesUnordered::new();
    while !stop.is_cancelled() {
        let consume = || shared.bus.consume(&spec, Flow::Continuous(AT_ONCE));
        let Some(mut ends) = until_it_works("reading ends of runs", &stop, consume).await else { break };
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(()) = at_work.next(), if !at_work.is_empty() => {}
                delivery = ends.next(), if at_work.len() < AT_ONCE => match delivery {
                    Ok(delivery) => at_work.push(handle(Arc::clone(&shared), tidying, delivery, stop.clone())),
                    Err(error) => {
                        warn!(%error, "reading ends of runs: beginning anew");
                        break;
                    }
                },
            }
        }
        ends.stop().await;
    }
    while at_work.next().await.is_some() {}
}

async fn handle(shared: Arc<Shared>, tidying: Tidying, delivery: Delivery, stop: CancellationToken) {
    let (lease, end) = Lease::new(Arc::clone(&shared.bus), delivery);
    let subject = Subject::parse(shared.bus.namespace(), &end.message.subject);
    let Ok(Subject::Workflow { run, .. }) = subject else {
        // The follower of the shard sees to what cannot be read.
        return lease.ack().await;
    };
    match lease.hold(until_due(&shared, tidying, end.time, &stop)).await {
        None => return,
        Some(Wait::Far(pause)) => return lease.nak(pause).await,
        Some(Wait::Over) => {}
    }
    shared.troubles.begin(tidying, run);
    let tidied = lease.hold(tidy(&shared, &lease, run, &end, tidying)).await;
    match &tidied {
        None | Some(Ok(_) | Err(NotDone::Lost)) => shared.troubles.end(tidying, run),
        Some(Err(NotDone::Unsettled)) => shared.troubles.fail(tidying, run, None),
        Some(Err(NotDone::Bus(error))) => shared.troubles.fail(tidying, run, Some(error)),
    }
    match tidied {
        None | Some(Err(NotDone::Lost)) => {}
        Some(Ok(0)) => lease.ack().await,
        Some(Ok(removed)) => {
            debug!(%run, ?tidying, removed, "tidied up");
            lease.ack().await;
        }
        Some(Err(NotDone::Unsettled)) => lease.nak(RETRY_PAUSE).await,
        Some(Err(NotDone::Bus(error))) => {
            if error.is_retryable() {
                info!(%run, ?tidying, %error, "not tidied up yet: trying again");
                lease.nak(RETRY_PAUSE).await;
            } else {
                warn!(%run, ?tidying, %error, "cannot be tidied up: trying again until that is mended");
                lease.nak(REFUSED_PAUSE).await;
            }
        }
    }
}
