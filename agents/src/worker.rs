//! Takes work of one capability when there is room for it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::join_all;
use mesh_bus::topology::agent_consumer;
use mesh_bus::{Bus, Deliveries, Delivery, Flow};
use mesh_schemas::{AgentId, Capability, Lane};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::cancel::Cancellations;
use crate::execute::Execution;
use crate::handler::Handler;
use crate::observe::{InHand, Outlook};
use crate::secret::Secrets;
use crate::trace::Trace;

/// Pause before the consumer is asked for again, when it could not be had.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// What handing back takes at most.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// One capability of an agent.
pub(crate) struct Worker {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) agent: AgentId,
    pub(crate) type_: String,
    pub(crate) capability: Capability,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) capacity: usize,
    pub(crate) drain: Duration,
    pub(crate) cancellations: Cancellations,
    pub(crate) secrets: Secrets,
    pub(crate) outlook: Outlook,
}

impl Worker {
    /// Works until `stop`, then lets what is running end.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let listening =
            tokio::spawn(self.cancellations.clone().listen(Arc::clone(&self.bus), self.capability.clone()));
        // Cancelled when the time for draining is over.
        let abandon = CancellationToken::new();
        let mut running = JoinSet::new();
        while !stop.is_cancelled() {
            let Some(mut deliveries) = self.consume(&stop).await else { break };
            deliveries.request(self.capacity - running.len());
            self.take(&mut *deliveries, &mut running, &stop, &abandon).await;
            let untouched = deliveries.drain().await;
            join_all(untouched.into_iter().map(|delivery| self.release(delivery, &abandon))).await;
        }
        let all = async {
            while let Some(ended) = running.join_next().await {
                complain(ended);
            }
        };
        let mut all = std::pin::pin!(all);
        if tokio::time::timeout(self.drain, &mut all).await.is_err() {
            warn!(capability = %self.capability, "handing running tasks to other agents: their time to end is over");
            abandon.cancel();
            let _ = tokio::time::timeout(LAST_MOMENT, &mut all).await;
        }
        self.handler.settled().await;
        listening.abort();
    }

    fn execution(&self, abandon: &CancellationToken) -> Execution {
        Execution {
            bus: Arc::clone(&self.bus),
            agent: self.agent.clone(),
            type_: self.type_.clone(),
            handler: Arc::clone(&self.handler),
            cancellations: self.cancellations.clone(),
            abandon: abandon.clone(),
            secrets: self.secrets.clone(),
            trace: Trace::default(),
            failed: OnceLock::new(),
        }
    }

    async fn release(&self, untouched: Delivery, abandon: &CancellationToken) {
        self.execution(abandon).release(&untouched, Duration::ZERO).await;
    }

    async fn consume(&self, stop: &CancellationToken) -> Option<Box<dyn Deliveries>> {
        let spec = agent_consumer(self.bus.namespace(), &self.capability, &Lane::Normal);
        let mut said = false;
        loop {
            let consumed = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                consumed = self.bus.consume(&spec, Flow::OnRequest) => consumed,
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
        abandon: &CancellationToken,
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
                        let execution = self.execution(abandon).run(delivery);
                        // Boxed, as it is large and moved some times while it becomes a task.
                        running.spawn(Box::pin(async move {
                            execution.await;
                            drop(in_hand);
                        }));
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
