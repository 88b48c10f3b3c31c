//! The mesh in one thread, on the bus in this process: orchestrators, agents and clients, and what befalls them.

mod agents;
mod clients;
mod doubles;
mod dropped;
mod link;
mod orchestrators;
mod party;
mod quiet;
mod reads;
mod receiver;
mod weather;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::DateTime;
use mesh_bus::memory::MemoryServer;
use mesh_schemas::{Namespace, Shards};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::check::Observer;
use crate::sabotage::Sabotage;
use crate::storm::Storm;
use crate::workload::Workload;
pub(crate) use doubles::DOUBLE;
use party::Toll;

/// Steps that a simulation may take: many times what the longest ones need.
const MAX_STEPS: u64 = 400_000;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

/// What all parties share.
pub(crate) struct World {
    pub(crate) server: MemoryServer,
    pub(crate) workload: Workload,
    pub(crate) storm: Storm,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) shards: Shards,
    observer: Mutex<Observer>,
    begun: Instant,
    is_over: AtomicBool,
    steps: AtomicU64,
    violation: Mutex<Option<Violation>>,
    violated: Notify,
    toll: Toll,
}

impl World {
    fn new(workload: Workload, storm: Storm, sabotage: Option<Sabotage>) -> Arc<Self> {
        // A fixed day, so that whatever is told is the same each time.
        let server = MemoryServer::beginning_at(
            Namespace::default(),
            DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default(),
        );
        server.set_max_inline(storm.max_inline);
        if sabotage == Some(Sabotage::FactsRepeat) {
            server.let_facts_repeat();
        }
        let shards = Shards::new(storm.shards).unwrap_or_default();
        let observer = Mutex::new(Observer::new(&workload, shards, &storm));
        Arc::new(Self {
            server,
            workload,
            storm,
            sabotage,
            shards,
            observer,
            begun: Instant::now(),
            is_over: AtomicBool::new(false),
            steps: AtomicU64::new(0),
            violation: Mutex::new(None),
            violated: Notify::new(),
            toll: Toll::default(),
        })
    }

    /// Time since the beginning.
    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether the storm is over.
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Counts a step, so that whoever goes round in circles without time passing is found out.
    fn step(&self) {
        if self.steps.fetch_add(1, Ordering::Relaxed) == MAX_STEPS {
            self.violate(format!("after {MAX_STEPS} steps and {:?} there is no end", self.elapsed()));
        }
    }

    fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Notes that something is wrong; what is noted first counts.
    pub(crate) fn violate(&self, what: String) {
        let mut violation = self.violation.lock().unwrap_or_else(PoisonError::into_inner);
        if violation.is_none() {
            *violation = Some(Violation(what));
            self.violated.notify_one();
        }
    }

    fn violation(&self) -> Option<Violation> {
        self.violation.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn observer(&self) -> MutexGuard<'_, Observer> {
        self.observer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the observer, and notes what it finds wrong.
    pub(crate) fn observe<T: Default>(&self, observe: impl FnOnce(&mut Observer) -> Result<T, String>) -> T {
        let seen = observe(&mut self.observer());
        seen.unwrap_or_else(|wrong| {
            self.violate(wrong);
            T::default()
        })
    }
}

/// Figures of a simulation that went well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Calls and deliveries.
    pub steps: u64,
    /// Messages in the log.
    pub events: u64,
    /// Executions of attempts.
    pub executions: u64,
    /// Parties that died.
    pub crashes: u64,
    /// Parties that stood still.
    pub freezes: u64,
    /// How long it took, as the parties saw it.
    pub took: Duration,
    /// Tells apart simulations in which other things were stored, or at other times.
    pub fingerprint: u64,
}

impl Figures {
    /// Adds those of another simulation.
    pub fn add(&mut self, more: Self) {
        self.steps += more.steps;
        self.events += more.events;
        self.executions += more.executions;
        self.crashes += more.crashes;
        self.freezes += more.freezes;
        self.took += more.took;
        self.fingerprint = self.fingerprint.wrapping_add(more.fingerprint);
    }
}

/// Does a workload in a storm, and checks what comes of it.
///
/// # Errors
/// What was found wrong first.
pub(crate) async fn run(
    workload: &Workload,
    storm: &Storm,
    sabotage: Option<Sabotage>,
) -> Result<Figures, Violation> {
    let world = World::new(workload.clone(), storm.clone(), sabotage);
    let violated = async {
        world.violated.notified().await;
        world.violation()
    };
    tokio::select! {
        biased;
        violation = violated => Err(violation.unwrap_or_else(|| Violation("unknown".to_owned()))),
        figures = quiet::live_through(&world) => match world.violation() {
            None => figures,
            Some(violation) => Err(violation),
        },
    }
}
