//! Follows one shard of the log for as long as this orchestrator is the one that the shard is pinned to.

mod cache;
mod checkpoint;
mod follower;
mod load;
mod read;
mod settle;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use mesh_bus::Flow;
use mesh_bus::topology::{SHARD_MAX_ACK_PENDING, shard_consumer};
use mesh_schemas::MAX_DATA_BYTES;
use mesh_telemetry::metrics::is_collected;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::observe::FIGURES;
use crate::service::{Shared, until_it_works};
pub(crate) use cache::Memory;
pub(crate) use checkpoint::checkpoint_object;
use follower::Follower;
pub(crate) use read::{Reads, newer_rules};

/// Bytes of events, with what they refer to, that wait for their runs or whose decisions are being stored before no more
/// are taken: there is room for one of the largest while another is stored.
const MAX_IN_HAND: usize = 2 * MAX_DATA_BYTES;

/// How often it is looked which deadlines are to be set by now.
const DEADLINES: Duration = Duration::from_millis(250);

/// Follows the shard whenever it is among `mine`, until `stop`. What is in hand is finished before it is let go of for good.
pub(crate) async fn run(
    shared: Arc<Shared>,
    shard: u32,
    memory: Memory,
    mut mine: watch::Receiver<BTreeSet<u32>>,
    stop: CancellationToken,
) {
    let spec = shard_consumer(shared.bus.namespace(), shard);
    let at_once = SHARD_MAX_ACK_PENDING as usize;
    let mut follower = Follower::new(Arc::clone(&shared), shard, spec.clone(), memory);
    let mut storing = FuturesUnordered::new();
    while is_mine(&mut mine, shard, &stop).await {
        let consume = async || {
            let consumed = shared.bus.consume(&spec, Flow::Continuous(at_once)).await;
            shared.presence.follows(shard, consumed.as_ref().map(drop).map_err(ToString::to_string));
            consumed
        };
        let Some(mut events) = until_it_works("following a shard", &stop, consume).await else { break };
        follower.forget_all();
        let (mut figures, mut deadlines) = (every(FIGURES), every(DEADLINES));
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Ok(()) = mine.changed() => if !mine.borrow_and_update().contains(&shard) {
                    break;
                },
                () = sleep_until(follower.renewal()), if follower.has_waiting() => follower.renew_waiting().await,
                _ = deadlines.tick(), if follower.has_put_off() => storing.extend(follower.set_deadlines()),
                _ = figures.tick(), if is_collected() => shared.figures.tell(shard, follower.figures()),
                Some(settled) = storing.next(), if !storing.is_empty() => {
                    storing.extend(follower.settled(settled));
                }
                delivery = events.next(), if storing.len() < at_once && follower.in_hand() < MAX_IN_HAND => match delivery {
                    Ok(delivery) => storing.extend(follower.take(delivery).await),
                    Err(error) => {
                        warn!(shard, %error, "following the shard: beginning anew");
                        break;
                    }
                },
            }
        }
        follower.hand_back().await;
        let let_go = async {
            events.stop().await;
            shared.presence.lets_go(shard);
            shared.figures.forget(shard);
        };
        tokio::join!(let_go, follower.finish(&mut storing));
    }
}

/// Ticks that are not made up for.
fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits until the shard is among those of this orchestrator; `false` when the service is to stop.
async fn is_mine(mine: &mut watch::Receiver<BTreeSet<u32>>, shard: u32, stop: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = stop.cancelled() => false,
        given = mine.wait_for(|mine| mine.contains(&shard)) => given.is_ok(),
    }
}
