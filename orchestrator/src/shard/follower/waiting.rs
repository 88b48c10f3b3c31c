//! Runs that are being read, and their events that wait for that.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{Event, Fact};
use mesh_schemas::{RunId, TraceContext};
use mesh_telemetry::metrics::table::{CACHE_LOOKUPS, REHYDRATION};
use mesh_telemetry::span;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::hand::{Hand, Held};
use super::{Follower, Settled, Work};
use crate::shard::cache::Cached;
use crate::shard::load::Loader;
use crate::shard::settle::Verdict;

/// What came of reading a run.
pub(in crate::shard) struct Loaded {
    run: RunId,
    /// When it was begun; see [`Follower::era`].
    era: u64,
    cached: Option<Box<Cached>>,
    /// The event for which it was read, unless it may be with another orchestrator by now.
    event: Option<(Hand, Verdict)>,
}

/// A run that is being read.
#[derive(Default)]
pub(super) struct Loading {
    /// Its events that wait for that, in order.
    pub(super) waiting: VecDeque<Held>,
    /// Something came in between: what is read is not to be kept.
    pub(super) spoilt: bool,
}

impl Follower {
    /// Whether events wait for their runs to be read.
    pub(in crate::shard) fn has_waiting(&self) -> bool {
        self.loading.values().any(|loading| !loading.waiting.is_empty())
    }

    /// When the bus is to be told that we are at the events that wait.
    pub(in crate::shard) fn renewal(&self) -> Instant {
        self.renewed + self.renewal
    }

    /// Tells the bus that we are at the events that wait.
    pub(in crate::shard) async fn renew_waiting(&mut self) {
        self.renewed = Instant::now();
        for held in self.loading.values().flat_map(|loading| &loading.waiting) {
            if !held.hand.lease.renew().await {
                // This process was stopped for a while: whatever it remembers may be of the past.
                self.forget_all();
                return;
            }
        }
    }

    /// Gives the events that wait to somebody else.
    pub(in crate::shard) async fn hand_back(&mut self) {
        let loading = std::mem::take(&mut self.loading);
        for held in loading.into_values().flat_map(|loading| loading.waiting) {
            held.hand.lease.nak(Duration::ZERO).await;
        }
    }

    pub(super) fn loaded(&mut self, loaded: Loaded) -> Vec<Work> {
        let Loaded { run, era, cached, event } = loaded;
        let mut todo = Vec::new();
        let loading = if era == self.era { self.loading.remove(&run) } else { None };
        let waiting = match loading {
            Some(Loading { waiting, spoilt }) => {
                match cached.filter(|_| !spoilt && event.is_some()) {
                    Some(cached) => self.cache.keep(run, *cached),
                    None => self.cache.forget(&run),
                }
                waiting
            }
            None => VecDeque::new(),
        };
        if let Some((hand, verdict)) = event {
            let verdict = self.left_or(&hand.stored, verdict);
            todo.push(self.work(hand, Some(run), verdict));
        }
        todo.extend(waiting.into_iter().filter_map(|held| self.handle(held)));
        todo
    }

    /// Reads the run, or only the definition of one that begins, while its events wait.
    pub(super) fn load(&mut self, hand: Hand, event: Event) -> Work {
        let (run, era) = (event.run, self.era);
        self.loading.insert(run, Loading::default());
        // All that may be missing is stored when it was read, the deadline, too.
        drop(self.put_off.take(&run));
        let loader = Loader {
            shared: Arc::clone(&self.shared),
            consumer: self.consumer.clone(),
            taken_over: Arc::clone(&self.taken_over),
            given: self.given,
        };
        let hop = TraceContext::from_headers(&hand.stored.message.headers);
        let span = span::read_run(&run, hop.as_ref());
        Box::pin(
            async move {
                let Hand { lease, stored, weight } = &hand;
                let begun = Instant::now();
                let mut read = lease.hold(loader.load(lease, weight.bytes, &event)).await;
                if matches!(read, Some((Some(_), _))) && !matches!(event.fact, Fact::Started(_)) {
                    CACHE_LOOKUPS.add(1, ["miss"]);
                    REHYDRATION.record(begun.elapsed(), []);
                }
                if let Some((Some(cached), _)) = &mut read {
                    cached.was_read(loader.shared.bus.namespace(), stored, &event, lease.delivered == 1);
                }
                let (cached, event) = match read {
                    Some((cached, verdict)) => (cached, Some((hand, verdict))),
                    None => (None, None),
                };
                Settled::Loaded(Box::new(Loaded { run, era, cached, event }))
            }
            .instrument(span),
        )
    }
}
