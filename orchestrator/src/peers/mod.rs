//! Who else is there, and which shards are whose.
//!
//! Orchestrators need not agree on it, as whoever follows a shard decides the same. It shares out the work, and lets a
//! shard go to one who understands what this one does not.

mod presence;
mod report;
mod share;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mesh_bus::Instance;
use mesh_schemas::Shards;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::service::{SERVICE, Shared};
pub(crate) use presence::Presence;
pub use report::{OrchestratorReport, Untidy};
use share::Peer;

/// Longest time that an orchestrator which stops waits for others to stand by, on top of the time between two looks.
const STAND_BY: Duration = Duration::from_secs(1);
/// Longest time between two looks that is waited for.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// Looks who is there every `period`, and says which shards are those of this orchestrator, until `stop`.
pub(crate) async fn run(
    shared: Arc<Shared>,
    (id, shards): (String, Shards),
    period: Duration,
    mine: watch::Sender<BTreeSet<u32>>,
    stop: CancellationToken,
) {
    loop {
        let look = async {
            match shared.bus.instances(SERVICE).await {
                Ok(instances) => share_out(&shared.presence, &id, shards, instances, &mine),
                Err(error) => debug!(%error, "who else is there is not known: everything stays as it is"),
            }
            tokio::time::sleep(period).await;
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = look => {}
        }
    }
}

fn share_out(
    presence: &Presence,
    id: &str,
    shards: Shards,
    instances: Vec<Instance>,
    mine: &watch::Sender<BTreeSet<u32>>,
) {
    let own = presence.report();
    let others = instances.into_iter().filter(|instance| instance.id != id);
    let mut peers: Vec<Peer> =
        others.map(|other| Peer { id: other.id, report: OrchestratorReport::read(other.report) }).collect();
    presence.meet(peers.iter().map(|peer| &peer.report));
    if own.stopping {
        // What is followed is followed until others stand by.
        return;
    }
    peers.push(Peer { id: id.to_owned(), report: own });
    let share = share::of(id, &peers, shards);
    mine.send_if_modified(|mine| {
        let changes = *mine != share;
        if changes {
            info!(orchestrators = peers.len(), shards = ?share, "shards are shared out");
            *mine = share;
        }
        changes
    });
}

/// Tells the others that this orchestrator stops, and waits until they stand by for its shards, if there are others.
pub(crate) async fn take_leave(presence: &Presence, period: Duration) {
    if presence.stop() {
        tokio::time::sleep(period.min(LONGEST_LOOK) + STAND_BY).await;
    }
}
