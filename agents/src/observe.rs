//! What an agent tells about itself: figures for metrics, and what is wrong in words.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh_bus::Bus;
use mesh_schemas::Capability;
use mesh_telemetry::metrics::is_collected;
use mesh_telemetry::metrics::table::{
    AGENT_CAPACITY, AGENT_OUTCOMES, AGENT_REDELIVERED, AGENT_RUNNING, NATS_RECONNECTS, NATS_UP, PROBLEMS,
};

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
        let lost = self.bus.connection().lost;
        let lost = lost
            .map(|lost| format!("no connection to NATS since {} s", self.bus.moment().since(lost).as_secs()));
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

/// A capability is served from now on, by so many tasks at once.
pub(crate) fn serves(capability: &Capability, capacity: usize) {
    let capability = capability.as_str();
    AGENT_CAPACITY.set(capacity as f64, [capability]);
    AGENT_RUNNING.set(0.0, [capability]);
    AGENT_REDELIVERED.add(0, [capability]);
    for outcome in ["completed", "failed"] {
        AGENT_OUTCOMES.add(0, [capability, outcome]);
    }
}

/// A task that is in hand until this is dropped.
pub(crate) struct InHand(Capability);

impl InHand {
    pub(crate) fn new(capability: &Capability) -> Self {
        AGENT_RUNNING.add(1.0, [capability.as_str()]);
        Self(capability.clone())
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        AGENT_RUNNING.add(-1.0, [self.0.as_str()]);
    }
}
