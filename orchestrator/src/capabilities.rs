//! Makes the consumers that agents bind to, as soon as a workflow names a capability.

use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt;
use mesh_bus::topology::{Bucket, agent_consumer};
use mesh_bus::{Bus, BusError, Entry};
use mesh_schemas::{Capability, Definition, Lane};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::definitions::stored_definition;
use crate::service::{Shared, until_it_works};

/// Follows the definitions until `stop`.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut served = HashSet::new();
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
                    let Some(definition) = definition(&shared, entry, &stop).await else { continue };
                    for task in definition.tasks.into_values() {
                        if served.contains(&task.agent) {
                            continue;
                        }
                        let make = || ensure(&*shared.bus, &task.agent);
                        if until_it_works("making a consumer", &stop, make).await.is_none() {
                            return;
                        }
                        served.insert(task.agent);
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

/// The definition in an entry of the bucket, if the entry is one.
async fn definition(shared: &Shared, entry: Entry, stop: &CancellationToken) -> Option<Definition> {
    if !entry.key.contains('.') {
        return None;
    }
    let read = || async {
        match stored_definition(&*shared.bus, entry.value.clone()).await {
            Err(error) if !error.is_retryable() => {
                warn!(definition = entry.key, %error, "no consumers are made for a definition");
                Ok(None)
            }
            read => read,
        }
    };
    until_it_works("reading a definition", stop, read).await?
}

/// Makes the consumer of a capability, if it is not there.
pub(crate) async fn ensure(bus: &dyn Bus, capability: &Capability) -> Result<(), BusError> {
    bus.ensure_consumer(&agent_consumer(bus.namespace(), capability, &Lane::Normal)).await
}
