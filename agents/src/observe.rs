//! What an agent tells about itself: figures for metrics, and what is wrong in words.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh_bus::Bus;
use mesh_schemas::Capability;
use mesh_schemas::payload::Reason;
use mesh_telemetry::metrics::table::{
    AGENT_CAPACITY, AGENT_OUTCOMES, AGENT_REDELIVERED, AGENT_RUNNING, DEAD_LETTERS, NATS_RECONNECTS, NATS_UP,
    PROBLEMS,
};
use mesh_telemetry::metrics::{Gauge, is_collected};

/// How often to look how the connection is.
const GLANCE: Duration = Duration::from_secs(1);

/// How an agent is.
#[derive(Clone)]
pub(crate) struct Outlook {
    bus: Arc<dyn Bus>,
    /// Capabilities without a source of work, and why.
    workless: Arc<Mutex<BTreeMap<Capability, String>>>,
}

impl Outlook {
    pub(crate) fn new(bus: Arc<dyn Bus>) -> Self {
        Self { bus, workless: Arc::default() }
    }

    /// What is wrong, one thing each; nothing if all is well.
    pub(crate) fn problems(&self) -> Vec<String> {
        let lost = self.bus.connection().problem(self.bus.moment());
        let workless = self.workless();
        let workless = workless
            .iter()
            .map(|(capability, why)| format!("no source of work for capability {capability}: {why}"));
        lost.into_iter().chain(workless).collect()
    }

    /// Whether there is a source of work; else, why not.
    pub(crate) fn has_work(&self, capability: &Capability, has: Result<(), String>) {
        match has {
            Ok(()) => drop(self.workless().remove(capability)),
            Err(why) => drop(self.workless().insert(capability.clone(), why)),
        }
    }

    /// Tells how the connection is until this is dropped, if somebody collects metrics when it begins.
    pub(crate) async fn watch(&self) {
        if !is_collected() {
            return std::future::pending().await;
        }
        NATS_RECONNECTS.add(0, []);
        let mut returns = self.bus.connection().returns;
        loop {
            let connection = self.bus.connection();
            NATS_UP.set(if connection.lost.is_none() { 1.0 } else { 0.0 }, []);
            NATS_RECONNECTS.add(connection.returns.saturating_sub(returns), []);
            returns = connection.returns;
            PROBLEMS.set(self.problems().len() as f64, []);
            tokio::time::sleep(GLANCE).await;
        }
    }

    fn workless(&self) -> MutexGuard<'_, BTreeMap<Capability, String>> {
        self.workless.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A capability that is served until this is dropped.
pub(crate) struct Served {
    _counted: Counted,
}

impl Served {
    /// So many of its tasks at once.
    pub(crate) fn new(capability: &Capability, capacity: usize) -> Self {
        let counted = Counted::new(&AGENT_CAPACITY, capability, capacity as f64);
        let capability = capability.as_str();
        AGENT_RUNNING.add(0.0, [capability]);
        AGENT_REDELIVERED.add(0, [capability]);
        for outcome in ["completed", "failed"] {
            AGENT_OUTCOMES.add(0, [capability, outcome]);
        }
        // So that the first one is seen as a change.
        for reason in Reason::ALL {
            DEAD_LETTERS.add(0, [reason.as_str()]);
        }
        Self { _counted: counted }
    }
}

/// A task that is in hand until this is dropped.
pub(crate) struct InHand {
    _counted: Counted,
}

impl InHand {
    pub(crate) fn new(capability: &Capability) -> Self {
        Self { _counted: Counted::new(&AGENT_RUNNING, capability, 1.0) }
    }
}

/// So much of a gauge that agents of one process share, until this is dropped.
struct Counted {
    gauge: &'static Gauge<1>,
    /// None if nobody collected metrics when it began: then it is not taken away either.
    capability: Option<Capability>,
    amount: f64,
}

impl Counted {
    fn new(gauge: &'static Gauge<1>, capability: &Capability, amount: f64) -> Self {
        let capability = is_collected().then(|| capability.clone());
        if let Some(capability) = &capability {
            gauge.add(amount, [capability.as_str()]);
        }
        Self { gauge, capability, amount }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(capability) = &self.capability {
            self.gauge.add(-self.amount, [capability.as_str()]);
        }
    }
}
