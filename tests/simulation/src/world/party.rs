use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use mesh_bus::Bus as _;
use mesh_bus::memory::MemoryBus;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::World;
use crate::storm::Pace;

/// What kind of party it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Orchestrator,
    Agent,
    Client,
}

/// One life of a process, from its start to its end.
pub(crate) struct Party {
    pub(super) world: Arc<World>,
    pub(super) kind: Kind,
    pub(super) bus: Arc<MemoryBus>,
    /// How far its clock is off, in milliseconds: first in one direction, and in the other from the middle of the storm.
    skew: i64,
    rng: Mutex<Rng>,
    /// Until when it stands still.
    still: Mutex<Option<Instant>>,
    stood: Notify,
    is_dead: AtomicBool,
    died: Notify,
    /// It is to be asked to stop.
    asked: Notify,
}

/// Parties that died and that stood still, in all.
#[derive(Debug, Default)]
pub(super) struct Toll {
    pub(super) crashes: AtomicU64,
    pub(super) freezes: AtomicU64,
}

impl Party {
    pub(super) fn new(world: &Arc<World>, kind: Kind, seed: u64) -> Arc<Self> {
        let mut rng = Rng::with_seed(world.storm.seed.rotate_left(17) ^ seed);
        let most = i64::try_from(world.storm.skew.as_millis()).unwrap_or_default();
        let skew = if kind == Kind::Client { 0 } else { rng.i64(-most..=most) };
        Arc::new(Self {
            bus: world.server.connect(),
            world: Arc::clone(world),
            kind,
            skew,
            rng: Mutex::new(rng),
            still: Mutex::new(None),
            stood: Notify::new(),
            is_dead: AtomicBool::new(false),
            died: Notify::new(),
            asked: Notify::new(),
        })
    }

    /// The time of day by its own clock.
    pub(super) fn now(&self) -> DateTime<Utc> {
        let has_jumped = self.world.elapsed() > self.world.storm.lasts / 2;
        self.bus.now() + TimeDelta::milliseconds(if has_jumped { -self.skew } else { self.skew })
    }

    /// Whether something with a chance in a thousand happens now.
    pub(super) fn happens(&self, chance: u32) -> bool {
        chance > 0 && !self.world.is_over() && self.number(1_000) < u64::from(chance)
    }

    /// A number from 0 to below `end`.
    pub(super) fn number(&self, end: u64) -> u64 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).u64(0..end)
    }

    /// A time below so many milliseconds.
    pub(super) fn while_below(&self, millis: u64) -> Duration {
        Duration::from_millis(self.number(millis))
    }

    /// Comes before and after each call: what may befall a party between any two of them befalls it here.
    pub(super) async fn step(&self) {
        self.world.step();
        self.is_up().await;
        if self.kind != Kind::Client {
            let storm = &self.world.storm;
            if self.happens(storm.crash) {
                self.die().await;
            }
            if self.happens(storm.freeze) {
                self.stand_still(Duration::from_millis(200) + self.while_below(40_000));
            }
            if self.happens(storm.stop) {
                self.asked.notify_one();
            }
        }
        match self.delay() {
            Duration::ZERO => {}
            delay => sleep(delay).await,
        }
        self.is_up().await;
    }

    fn delay(&self) -> Duration {
        match self.world.storm.pace {
            _ if self.world.is_over() => Duration::ZERO,
            Pace::Instant => Duration::ZERO,
            Pace::Quick => Duration::from_millis(self.number(6).saturating_sub(2)),
            Pace::Uneven if self.number(40) == 0 => self.while_below(7_000),
            Pace::Uneven => self.while_below(30),
        }
    }

    /// Returns when the party runs; never, if it is dead.
    pub(super) async fn is_up(&self) {
        loop {
            if self.is_dead.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let still = *self.still.lock().unwrap_or_else(PoisonError::into_inner);
            match still.filter(|until| *until > Instant::now() && !self.world.is_over()) {
                None => return,
                Some(until) => sleep_until(until).await,
            }
        }
    }

    /// Returns when the party stops in its tracks.
    pub(super) async fn stops(&self) {
        self.stood.notified().await;
    }

    fn stand_still(&self, time: Duration) {
        self.world.toll.freezes.fetch_add(1, Ordering::Relaxed);
        *self.still.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + time);
        self.stood.notify_waiters();
    }

    async fn die(&self) {
        self.world.toll.crashes.fetch_add(1, Ordering::Relaxed);
        self.kill();
        std::future::pending::<()>().await;
    }

    /// As kill -9 does.
    pub(super) fn kill(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
        self.bus.cut();
        self.died.notify_one();
    }

    pub(super) async fn has_died(&self) {
        if !self.is_dead.load(Ordering::Relaxed) {
            self.died.notified().await;
        }
    }

    pub(super) async fn is_asked_to_stop(&self) {
        self.asked.notified().await;
    }
}
