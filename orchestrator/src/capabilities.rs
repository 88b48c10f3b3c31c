//! Makes the consumers that agents bind to, as soon as a workflow names a capability.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use mesh_bus::topology::{Bucket, agent_consumer};
use mesh_bus::{Bus, BusError, Entry};
use mesh_schemas::{Capability, Lane};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::definitions;
use crate::service::{Shared, until_it_works};

/// Follows the definitions until `stop`.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut served = BTreeSet::new();
    while !stop.is_cancelled() {
        let watch = || shared.bus.watch(Bucket::Workflows);
        let Some(mut changes) = until_it_works("watching definitions", &stop, watch).await else { return };
        loop {
            let change = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                change = changes.next() => change,
            };
            match change {
                Some(Ok(Some(entry))) => {
                    let Some(agents) = agents(&shared, entry, &stop).await else { return };
                    for agent in agents {
                        if served.contains(&agent) {
                            continue;
                        }
                        let make = || ensure(&*shared.bus, &agent);
                        if until_it_works("making a consumer", &stop, make).await.is_none() {
                            return;
                        }
                        served.insert(agent);
                    }
                }
                Some(Ok(None)) => {}
                Some(Err(error)) => {
                    warn!(%error, "lost sight of the definitions: beginning anew");
                    break;
                }
                None => break,
            }
        }
    }
}

/// The capabilities that the definition in an entry of the bucket asks for; `None` when the service is to stop.
async fn agents(shared: &Shared, entry: Entry, stop: &CancellationToken) -> Option<BTreeSet<Capability>> {
    if !entry.key.contains('.') {
        return Some(BTreeSet::new());
    }
    let read = || async {
        match definitions::agents(&*shared.bus, entry.value.clone()).await {
            Err(error) if !error.is_retryable() => {
                warn!(definition = entry.key, %error, "no consumers are made for a definition");
                Ok(BTreeSet::new())
            }
            read => read,
        }
    };
    until_it_works("reading a definition", stop, read).await
}

/// Makes the consumer of a capability, if it is not there.
pub(crate) async fn ensure(bus: &dyn Bus, capability: &Capability) -> Result<(), BusError> {
    bus.ensure_consumer(&agent_consumer(bus.namespace(), capability, &Lane::Normal)).await
}
