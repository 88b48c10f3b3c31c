//! Follows one shard of the log for as long as this orchestrator is the one that the shard is pinned to.

mod cache;
mod follower;

use std::sync::Arc;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use mesh_bus::Flow;
use mesh_bus::topology::{SHARD_MAX_ACK_PENDING, shard_consumer};
use mesh_schemas::MAX_DATA_BYTES;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::service::{Shared, until_it_works};
pub(crate) use cache::Memory;
use follower::Follower;

/// Bytes of events, with what they refer to, whose decisions are being stored before no more are taken: there is room for
/// one of the largest while another is stored.
const MAX_IN_HAND: usize = 2 * MAX_DATA_BYTES;

/// Follows the shard until `stop`, then finishes what is in hand.
pub(crate) async fn run(shared: Arc<Shared>, shard: u32, memory: Memory, stop: CancellationToken) {
    let spec = shard_consumer(shared.bus.namespace(), shard);
    let at_once = SHARD_MAX_ACK_PENDING as usize;
    let mut follower = Follower::new(Arc::clone(&shared), spec.clone(), memory);
    let (mut storing, mut in_hand) = (FuturesUnordered::new(), 0);
    while !stop.is_cancelled() {
        let consume = || shared.bus.consume(&spec, Flow::Continuous(at_once));
        let Some(mut events) = until_it_works("following a shard", &stop, consume).await else { break };
        follower.forget_all();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some((settled, bytes)) = storing.next(), if !storing.is_empty() => {
                    in_hand -= bytes;
                    follower.settled(settled);
                }
                delivery = events.next(), if storing.len() < at_once && in_hand < MAX_IN_HAND => match delivery {
                    Ok(delivery) => {
                        if let Some((work, bytes)) = follower.take(delivery).await {
                            in_hand += bytes;
                            storing.push(work.map(move |settled| (settled, bytes)));
                        }
                    }
                    Err(error) => {
                        warn!(shard, %error, "following the shard: beginning anew");
                        break;
                    }
                },
            }
        }
        events.stop().await;
    }
    while storing.next().await.is_some() {}
}
