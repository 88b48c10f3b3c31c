//! Deliveries and acknowledgements as they reach, or do not reach, a party and its server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mesh_bus::{Acker, BusError, Deliveries, Delivery, Flow};
use mesh_schemas::Subject;
use tokio::time::{Instant, sleep, sleep_until};

use super::party::{Kind, Party};
use crate::sabotage::Sabotage;

/// How late a slow delivery or acknowledgement is at most: longer than any consumer waits.
const SLOW_MILLIS: u64 = 45_000;

/// What a party receives of a consumer.
pub(super) struct Receiver {
    party: Arc<Party>,
    inner: Box<dyn Deliveries>,
    flow: Flow,
    /// On its way, and when it is here.
    coming: Option<(Delivery, Instant)>,
    /// Deliveries so far.
    count: u64,
}

impl Receiver {
    pub(super) fn new(party: Arc<Party>, inner: Box<dyn Deliveries>, flow: Flow) -> Self {
        Self { party, inner, flow, coming: None, count: 0 }
    }

    async fn receive(&mut self) -> Result<Delivery, BusError> {
        loop {
            self.party.is_up().await;
            if let Some((_, here)) = &self.coming {
                sleep_until(*here).await;
                self.party.is_up().await;
            }
            if let Some((delivery, _)) = self.coming.take() {
                return Ok(delivery);
            }
            let delivery = tokio::select! {
                biased;
                // Whoever stands still does not ask for messages either.
                () = self.party.stops() => continue,
                delivery = self.inner.next() => delivery?,
            };
            self.party.world.step();
            let storm = &self.party.world.storm;
            if self.party.happens(storm.lost) {
                if self.flow == Flow::OnRequest {
                    // A receiver notices that what it asked for does not come, and asks again.
                    self.inner.request(1);
                }
                continue;
            }
            if self.party.happens(storm.slow) {
                self.coming = Some((delivery, Instant::now() + self.party.while_below(SLOW_MILLIS)));
                continue;
            }
            return Ok(delivery);
        }
    }

    fn handed(&mut self, mut delivery: Delivery) -> Delivery {
        self.count += 1;
        if let Some(Sabotage::NoGapCheck) = self.party.world.sabotage {
            delivery.consumer_sequence = self.count;
            delivery.pin = None;
        }
        self.observe(&delivery);
        let inner = Arc::from(delivery.acker);
        delivery.acker = Box::new(Answer { party: Arc::clone(&self.party), inner });
        delivery
    }

    fn observe(&self, delivery: &Delivery) {
        let world = &self.party.world;
        if self.party.kind == Kind::Agent
            && let Ok(Subject::Task { key, .. }) =
                Subject::parse(world.server.namespace(), &delivery.stored.message.subject)
        {
            world.observe(|observer| observer.handed(key, delivery.delivered));
        }
    }

    /// Whether this party acknowledges before it has done what it should have.
    fn is_hasty(&self) -> bool {
        match self.party.world.sabotage {
            Some(Sabotage::AckBeforeStoring) => self.party.kind == Kind::Orchestrator,
            Some(Sabotage::AckBeforeOutcome) => self.party.kind == Kind::Agent,
            _ => false,
        }
    }
}

#[async_trait]
impl Deliveries for Receiver {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        let delivery = self.receive().await?;
        let delivery = self.handed(delivery);
        if self.is_hasty() {
            delivery.acker.ack().await;
        }
        Ok(delivery)
    }

    fn request(&mut self, more: usize) {
        self.inner.request(more);
    }

    async fn drain(&mut self) -> Vec<Delivery> {
        self.party.is_up().await;
        let coming = self.coming.take().map(|(delivery, _)| delivery);
        let here = self.inner.drain().await;
        coming.into_iter().chain(here).map(|delivery| self.handed(delivery)).collect()
    }
}

/// How a party's answer to a delivery travels.
#[derive(Clone)]
struct Answer {
    party: Arc<Party>,
    inner: Arc<dyn Acker>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl Answer {
    /// When the answer is with the server; `None` if it is lost.
    async fn sent(&self) -> Option<Duration> {
        self.party.step().await;
        let storm = &self.party.world.storm;
        if self.party.happens(storm.unacked) {
            return None;
        }
        let is_slow = self.party.happens(storm.slow);
        Some(if is_slow { self.party.while_below(SLOW_MILLIS) } else { Duration::ZERO })
    }

    async fn send<F: Future<Output = ()> + Send + 'static>(&self, answer: impl FnOnce(Arc<dyn Acker>) -> F) {
        match self.sent().await {
            None => {}
            Some(Duration::ZERO) => answer(Arc::clone(&self.inner)).await,
            Some(delay) => {
                let answer = answer(Arc::clone(&self.inner));
                tokio::spawn(async move {
                    sleep(delay).await;
                    answer.await;
                });
            }
        }
    }
}

#[async_trait]
impl Acker for Answer {
    async fn ack(&self) {
        self.send(|inner| async move { inner.ack().await }).await;
    }

    async fn nak(&self, pause: Duration) {
        self.send(move |inner| async move { inner.nak(pause).await }).await;
    }

    async fn progress(&self) {
        self.send(|inner| async move { inner.progress().await }).await;
    }
}
