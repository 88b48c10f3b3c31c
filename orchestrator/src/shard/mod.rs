//! Follows one shard of the log for as long as this orchestrator is the one that the shard is pinned to.

mod cache;
mod checkpoint;
mod follower;
mod load;
mod settle;

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use mesh_bus::Flow;
use mesh_bus::topology::{SHARD_ACK_WAIT, SHARD_MAX_ACK_PENDING, shard_consumer};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::service::{Shared, until_it_works};
use follower::Follower;
pub(crate) use load::Reads;

/// Follows the shard until `stop`, then finishes what is in hand.
pub(crate) async fn run(shared: Arc<Shared>, shard: u32, cached_runs: usize, stop: CancellationToken) {
    let spec = shard_consumer(shared.bus.namespace(), shard);
    let at_once = SHARD_MAX_ACK_PENDING as usize;
    let mut follower = Follower::new(Arc::clone(&shared), spec.clone(), cached_runs);
    let mut storing = FuturesUnordered::new();
    let period = SHARD_ACK_WAIT / 3;
    let mut renewal = interval_at(Instant::now() + period, period);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.is_cancelled() {
        let consume = || shared.bus.consume(&spec, Flow::Continuous(at_once));
        let Some(mut events) = until_it_works("following a shard", &stop, consume).await else { break };
        follower.forget_all();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = renewal.tick(), if follower.has_waiting() => follower.renew_waiting().await,
                Some(settled) = storing.next(), if !storing.is_empty() => {
                    storing.extend(follower.settled(settled));
                }
                delivery = events.next(), if storing.len() < at_once => match delivery {
                    Ok(delivery) => storing.extend(follower.take(delivery)),
                    Err(error) => {
                        warn!(shard, %error, "following the shard: beginning anew");
                        break;
                    }
                },
            }
        }
        follower.hand_back().await;
        events.stop().await;
    }
    while storing.next().await.is_some() {}
}
