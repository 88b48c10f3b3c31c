use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::connection::{Line, MemoryBus, sleep_until_due};
use super::consumer::{Consumer, Handed};
use super::place::Place;
use super::server::MemoryServer;
use super::state::State;
use crate::clock::BootInstant;
use crate::consume::{Acker, ConsumerSpec, Deliveries, Delivery, Flow};
use crate::error::BusError;

/// Which consumer it is.
type Key = (Place, String);

impl MemoryBus {
    pub(super) async fn ensure(&self, spec: &ConsumerSpec) -> Result<(), BusError> {
        self.ask(|| format!("make consumer {}", spec.name), |state| self.make_consumer(state, spec)).await
    }

    pub(super) fn make_consumer(&self, state: &mut State, spec: &ConsumerSpec) -> Result<(), BusError> {
        if state.layout.is_none() {
            return Err(self.not_set_up());
        }
        let key = (spec.stream.into(), spec.name.clone());
        if let Some(found) = state.consumers.get(&key) {
            return check(spec, &found.spec);
        }
        let consumer = Consumer::new(spec.clone(), state.log(spec.stream));
        state.consumers.insert(key, consumer);
        Ok(())
    }

    pub(super) async fn receive(
        &self,
        spec: &ConsumerSpec,
        flow: Flow,
    ) -> Result<Box<dyn Deliveries>, BusError> {
        let key: Key = (spec.stream.into(), spec.name.clone());
        let (receiver, wake, ack_wait) = self
            .ask(
                || format!("receive from consumer {}", spec.name),
                |state| {
                    self.make_consumer(state, spec)?;
                    let receiver = state.number();
                    let consumer = state.consumers.get_mut(&key).ok_or_else(|| gone(&key.1))?;
                    let wake = consumer.join(receiver, self.line.connection, flow);
                    Ok((receiver, wake, consumer.spec.ack_wait))
                },
            )
            .await?;
        let (server, line) = (self.server.clone(), Arc::clone(&self.line));
        Ok(Box::new(MemoryDeliveries { server, line, key, ack_wait, receiver, wake }))
    }

    pub(super) async fn newest(&self, spec: &ConsumerSpec) -> Result<u64, BusError> {
        self.look_at(spec, |_, consumer| consumer.newest()).await
    }

    pub(super) async fn up_to_where_all_is_settled(&self, spec: &ConsumerSpec) -> Result<u64, BusError> {
        self.look_at(spec, |state, consumer| consumer.settled(state.log(spec.stream))).await
    }

    async fn look_at(
        &self,
        spec: &ConsumerSpec,
        look: impl FnOnce(&State, &Consumer) -> u64,
    ) -> Result<u64, BusError> {
        let key = (spec.stream.into(), spec.name.clone());
        self.ask(
            || format!("look at consumer {}", spec.name),
            |state| match (state.consumers.get(&key), &state.layout) {
                (Some(consumer), _) => Ok(look(state, consumer)),
                (None, Some(_)) => Ok(0),
                (None, None) => Err(self.not_set_up()),
            },
        )
        .await
    }
}

/// Whether a consumer that is there delivers what is asked for; its limits may be others.
fn check(wanted: &ConsumerSpec, found: &ConsumerSpec) -> Result<(), BusError> {
    let sorted = |spec: &ConsumerSpec| {
        let mut filters = spec.filters.clone();
        filters.sort();
        filters
    };
    let difference = if sorted(wanted) != sorted(found) {
        format!("it delivers {:?}, not {:?}", found.filters, wanted.filters)
    } else if wanted.pinned.is_some() != found.pinned.is_some() {
        "it pins its messages to one receiver, or does not, against what is asked".to_owned()
    } else {
        return Ok(());
    };
    Err(BusError::Conflict {
        what: format!("consumer {} of the stream of {}", wanted.name, wanted.stream.short_name()),
        difference,
        mend: "Give the consumer another name".to_owned(),
    })
}

fn gone(consumer: &str) -> BusError {
    let operation = format!("receive from consumer {consumer}");
    BusError::Unavailable { operation, error: "the consumer was deleted".to_owned() }
}

struct MemoryDeliveries {
    server: MemoryServer,
    line: Arc<Line>,
    key: Key,
    ack_wait: Duration,
    receiver: u64,
    wake: Arc<Notify>,
}

/// Tells the consumer that a receiver waits, as long as this is kept.
struct Waiting<'a>(&'a MemoryDeliveries);

impl<'a> Waiting<'a> {
    fn new(deliveries: &'a MemoryDeliveries) -> Self {
        deliveries.waits(true);
        Self(deliveries)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waits(false);
    }
}

impl MemoryDeliveries {
    fn waits(&self, waits: bool) {
        let mut state = self.server.lock();
        let now = state.clock.now();
        if let Some(consumer) = state.consumers.get_mut(&self.key) {
            consumer.waits(self.receiver, waits, now);
        }
    }

    /// The next message that is there, or when to look again.
    fn look(&self) -> Result<Result<Handed, Option<Duration>>, BusError> {
        let mut state = self.server.lock();
        state.pump(self.key.0);
        let (is_up, due) = (state.is_up, state.next_due(self.key.0));
        let consumer = state.consumers.get_mut(&self.key).ok_or_else(|| gone(&self.key.1))?;
        if !is_up {
            return Ok(Err(None));
        }
        match consumer.take(self.receiver) {
            Some(handed) => {
                state.pump(self.key.0);
                Ok(Ok(handed))
            }
            None => Ok(Err([due, consumer.alarm()].into_iter().flatten().min())),
        }
    }

    fn delivery(&self, handed: Handed) -> Delivery {
        let Handed { stored, number, delivered, pin, at } = handed;
        let acker = MemoryAcker {
            server: self.server.clone(),
            line: Arc::clone(&self.line),
            key: self.key.clone(),
            sequence: stored.sequence,
        };
        Delivery {
            stored,
            consumer_sequence: number,
            delivered,
            pin,
            received: BootInstant::at(at),
            ack_wait: self.ack_wait,
            acker: Box::new(acker),
        }
    }

    /// Lets go of a pinned consumer. While the server is away nobody hears of it, and only silence tells.
    fn unpin(&self) {
        let mut state = self.server.lock();
        if state.is_up
            && let Some(consumer) = state.consumers.get_mut(&self.key)
        {
            consumer.unpin(self.receiver);
        }
    }

    fn leave(&self) -> Vec<Handed> {
        let mut state = self.server.lock();
        let now = state.clock.now();
        let consumer = state.consumers.get_mut(&self.key);
        let left = consumer.map(|consumer| consumer.leave(self.receiver, now)).unwrap_or_default();
        state.pump(self.key.0);
        left
    }
}

#[async_trait]
impl Deliveries for MemoryDeliveries {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        self.line.is_there().await;
        let _waiting = Waiting::new(self);
        loop {
            let due = match self.look()? {
                Ok(handed) => return Ok(self.delivery(handed)),
                Err(due) => due,
            };
            tokio::select! {
                biased;
                () = self.wake.notified() => self.line.is_there().await,
                () = sleep_until_due(&self.server, due) => {}
            }
        }
    }

    fn request(&mut self, more: usize) {
        let mut state = self.server.lock();
        if let Some(consumer) = state.consumers.get_mut(&self.key) {
            consumer.allow(self.receiver, more);
        }
    }

    async fn drain(&mut self) -> Vec<Delivery> {
        self.line.is_there().await;
        self.unpin();
        self.leave().into_iter().map(|handed| self.delivery(handed)).collect()
    }
}

impl Drop for MemoryDeliveries {
    /// Hands back what is here unseen.
    fn drop(&mut self) {
        let unseen = self.leave();
        let mut state = self.server.lock();
        let now = state.clock.now();
        if let Some(consumer) = state.consumers.get_mut(&self.key) {
            unseen.iter().for_each(|handed| consumer.nak(handed.stored.sequence, Duration::ZERO, now));
        }
        state.pump(self.key.0);
    }
}

#[derive(Debug)]
struct MemoryAcker {
    server: MemoryServer,
    line: Arc<Line>,
    key: Key,
    sequence: u64,
}

impl MemoryAcker {
    /// Tells the consumer, if the server is there to hear it.
    async fn tell(&self, tell: impl FnOnce(&mut Consumer, Duration)) {
        self.line.is_there().await;
        let mut state = self.server.lock();
        let now = state.clock.now();
        if state.is_up
            && let Some(consumer) = state.consumers.get_mut(&self.key)
        {
            tell(consumer, now);
            state.pump(self.key.0);
        }
    }
}

#[async_trait]
impl Acker for MemoryAcker {
    async fn ack(&self) {
        let mut acked = false;
        self.tell(|consumer, _| acked = consumer.ack(self.sequence)).await;
        if acked && self.key.0 == Place::Inbox {
            // A work queue: what is done with is gone.
            self.server.lock().remove(Place::Inbox, self.sequence);
        }
    }

    async fn nak(&self, pause: Duration) {
        self.tell(|consumer, now| consumer.nak(self.sequence, pause, now)).await;
    }

    async fn progress(&self) {
        self.tell(|consumer, now| consumer.progress(self.sequence, now)).await;
    }
}
