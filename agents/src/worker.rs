//! Takes work of one capability when there is room for it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use mesh_bus::{Deliveries, Delivery, Flow};
use mesh_schemas::Capability;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::common::Common;
use crate::execute::Execution;
use crate::observe::{InHand, Outlook};

/// Pause before the consumer is asked for again, when it could not be had.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// What handing back takes at most.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// One capability of an agent.
pub(crate) struct Worker {
    pub(crate) common: Arc<Common>,
    pub(crate) capability: Capability,
    pub(crate) capacity: usize,
    pub(crate) drain: Duration,
    pub(crate) outlook: Outlook,
}

impl Worker {
    /// Works until `stop`, then lets what is running end.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let (bus, cancellations) = (Arc::clone(&self.common.bus), self.common.cancellations.clone());
        let listening = tokio::spawn(cancellations.listen(bus, self.capability.clone()));
        let mut running = JoinSet::new();
        while !stop.is_cancelled() {
            let Some(mut deliveries) = self.consume(&stop).await else { break };
            deliveries.request(self.capacity - running.len());
            self.take(&mut *deliveries, &mut running, &stop).await;
            let untouched = deliveries.drain().await;
            join_all(untouched.into_iter().map(|delivery| self.release(delivery))).await;
        }
        let all = async {
            while let Some(ended) = running.join_next().await {
                complain(ended);
            }
        };
        let mut all = std::pin::pin!(all);
        if tokio::time::timeout(self.drain, &mut all).await.is_err() {
            warn!(capability = %self.capability, "handing running tasks to other agents: their time to end is over");
            self.common.abandon.cancel();
            let _ = tokio::time::timeout(LAST_MOMENT, &mut all).await;
        }
        self.common.handler.settled().await;
        listening.abort();
    }

    async fn release(&self, untouched: Delivery) {
        Execution::new(&self.common).release(&untouched, Duration::ZERO).await;
    }

    async fn consume(&self, stop: &CancellationToken) -> Option<Box<dyn Deliveries>> {
        let mut said = false;
        loop {
            let consumed = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                consumed = self.common.bus.consume(&self.common.consumer, Flow::OnRequest) => consumed,
            };
            match consumed {
                Ok(deliveries) => {
                    self.outlook.has_work(&self.capability, Ok(()));
                    return Some(deliveries);
                }
                Err(error) if !said => {
                    self.outlook.has_work(&self.capability, Err(error.to_string()));
                    warn!(capability = %self.capability, %error, "no work can be had yet; trying again");
                    said = true;
                }
                Err(_) => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        }
    }

    async fn take(
        &self,
        deliveries: &mut dyn Deliveries,
        running: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(ended) = running.join_next(), if !running.is_empty() => {
                    complain(ended);
                    deliveries.request(1);
                }
                delivery = deliveries.next() => match delivery {
                    Ok(delivery) => {
                        let in_hand = InHand::new(&self.capability);
                        // Boxed, as it is large and moved some times while it becomes a task.
                        let execution = Box::pin(Execution::new(&self.common).run(delivery));
                        running.spawn(async move {
                            execution.await;
                            drop(in_hand);
                        });
                    }
                    Err(error) => {
                        warn!(capability = %self.capability, %error, "lost the source of work: asking anew");
                        return;
                    }
                },
            }
        }
    }
}

/// A task that ended by a panic of ours, not of the handler: the delivery comes again.
fn complain(ended: Result<(), tokio::task::JoinError>) {
    if let Err(died) = ended {
        error!(%died, "an execution died; its task will be delivered again");
    }
}
