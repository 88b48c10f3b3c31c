use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use mesh_schemas::{DEFAULT_MAX_INLINE, Namespace};

use super::clock::Clock;
use super::connection::MemoryBus;
use super::place::Place;
use super::state::State;
use crate::topology::Stream;

/// What a NATS server holds of one namespace, in this process.
#[derive(Debug, Clone)]
pub struct MemoryServer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    namespace: Namespace,
    clock: Clock,
    state: Mutex<State>,
    max_inline: AtomicUsize,
}

impl MemoryServer {
    /// A server that holds nothing yet.
    #[must_use]
    pub fn new(namespace: Namespace) -> Self {
        Self::beginning_at(namespace, Utc::now())
    }

    /// A server that holds nothing yet and whose time begins at `epoch`: then all that it tells is the same each time.
    #[must_use]
    pub fn beginning_at(namespace: Namespace, epoch: DateTime<Utc>) -> Self {
        let clock = Clock::beginning_at(epoch);
        let (state, max_inline) = (Mutex::new(State::new(clock)), AtomicUsize::new(DEFAULT_MAX_INLINE));
        Self(Arc::new(Inner { namespace, clock, state, max_inline }))
    }

    /// Sets the largest body, in bytes, of an event that carries its data itself.
    pub fn set_max_inline(&self, bytes: usize) {
        self.0.max_inline.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn max_inline(&self) -> usize {
        self.0.max_inline.load(Ordering::Relaxed)
    }

    /// A new connection to the server.
    #[must_use]
    pub fn connect(&self) -> Arc<MemoryBus> {
        let connection = self.lock().number();
        Arc::new(MemoryBus::new(self.clone(), connection))
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// As when a server is stopped and started again: until [`MemoryServer::start`], every call on a connection fails
    /// and nothing is delivered. What was on its way to a receiver is lost and comes again after its `ack_wait`.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.is_up = false;
        let now = self.0.clock.now();
        state.down_since.get_or_insert(now);
        for consumer in state.consumers.values_mut() {
            consumer.restart();
        }
    }

    /// Ends what [`MemoryServer::stop`] began.
    pub fn start(&self) {
        let mut state = self.lock();
        state.is_up = true;
        state.returns += u64::from(state.down_since.take().is_some());
        for place in Place::ALL {
            state.pump(place);
        }
        state.consumers.values().for_each(super::consumer::Consumer::wake_all);
        Place::ALL.iter().for_each(|place| state.log(*place).wake_readers());
    }

    /// As a server of a cluster that has not caught up: runs are read up to this message of the log only, or again up to
    /// the last.
    pub fn fall_behind(&self, end: Option<u64>) {
        self.lock().read_up_to = end;
    }

    /// Bounds how many messages a stream takes, or lifts the bound. A full stream refuses what comes, for its
    /// publisher to try again.
    pub fn limit(&self, stream: Stream, messages: Option<usize>) {
        let mut state = self.lock();
        match messages {
            Some(messages) => drop(state.limits.insert(stream.into(), messages)),
            None => drop(state.limits.remove(&stream.into())),
        }
    }

    /// From now on a subject of the log and of the tasks holds any number of messages, as on streams that somebody set
    /// up without the limit that the mesh relies on: for tests that must notice it.
    pub fn let_facts_repeat(&self) {
        self.lock().facts_repeat = true;
    }

    pub(super) fn clock(&self) -> Clock {
        self.0.clock
    }

    /// What the server holds, with everything done that has come due.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_up {
            state.advance();
        }
        state
    }
}
