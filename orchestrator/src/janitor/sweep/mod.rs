//! Removes every now and then what is left of runs that nobody knows any more.

mod objects;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::service::Shared;

/// How often it is looked, and how soon for the first time: it reads the names of all objects, and of all work.
const PERIODS: (Duration, Duration) = (Duration::from_secs(6 * 60 * 60), Duration::from_secs(10 * 60));
/// The shard whose orchestrator looks: one is enough.
const SHARD: u32 = 0;

/// Looks every now and then until `stop`, while it is for this orchestrator to do.
pub(crate) async fn run(shared: Arc<Shared>, mine: watch::Receiver<BTreeSet<u32>>, stop: CancellationToken) {
    let (period, mut pause) = PERIODS;
    loop {
        let look = async {
            sleep(pause).await;
            if mine.borrow().contains(&SHARD) {
                sweep(&shared).await;
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = look => pause = period,
        }
    }
}

async fn sweep(shared: &Shared) {
    // Dead letters of what never became a run refer to objects for as long as a request is known.
    let young = TimeDelta::from_std(shared.retention.requests.max(objects::YOUNG)).unwrap_or(TimeDelta::MAX);
    match objects::sweep(&*shared.bus, young).await {
        Ok(0) => {}
        Ok(runs) => debug!(runs, "removed the objects of runs of which nothing was left"),
        Err(error) => info!(%error, "objects that nobody needs are not removed yet"),
    }
    match work::sweep(&*shared.bus).await {
        Ok(0) => {}
        Ok(tasks) => info!(tasks, "removed work that was stored when its run had been forgotten"),
        Err(error) => info!(%error, "work that nobody needs is not removed yet"),
    }
}
