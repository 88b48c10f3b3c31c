use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_bus::topology::{PIN_TIMEOUT, Stream};
use mesh_bus::{Bus, BusError, Fill, Health, Instance, Role};
use mesh_orchestrator::definitions::{self, Registered};
use mesh_schemas::{Capability, StoredMessage};
use tokio::time::{Instant, sleep};

use super::is_served;
use super::unwanted;
use crate::supply::{Alive, alive, supply};

/// Pause before a shard that nobody seems to follow is looked at again.
const AGAIN: Duration = Duration::from_millis(200);

/// Everything that is looked at, once.
pub(super) struct Facts {
    pub(super) health: Health,
    pub(super) orchestrators: Vec<Instance>,
    pub(super) agents: Vec<Alive>,
    /// What agents say is wrong with them, each with its type.
    pub(super) complaints: Vec<(String, String)>,
    pub(super) workflows: Vec<Registered>,
    /// How many tasks of a capability that nobody serves are waited for at most, where that could be told.
    pub(super) wanted: BTreeMap<Capability, u64>,
    /// The newest dead letter.
    pub(super) letter: Option<StoredMessage>,
    /// The fullest of what bounds the log.
    pub(super) fill: Option<Fill>,
}

/// Most types of agents that are asked how they are: each waits for all processes that may answer.
const MOST_TYPES: usize = 32;

/// What agents say is wrong with them. Those that do not answer, or may not be asked, say nothing.
async fn complaints(bus: &dyn Bus, agents: &[Alive]) -> Vec<(String, String)> {
    let types: BTreeSet<&str> = agents.iter().map(|alive| alive.agent.type_.as_str()).collect();
    let asked = types.into_iter().take(MOST_TYPES).map(|type_| async move {
        let instances = bus.instances(type_).await.unwrap_or_default();
        let told = instances.into_iter().flat_map(|instance| problems(&instance.report));
        told.map(|problem| (type_.to_owned(), problem)).collect::<Vec<_>>()
    });
    futures::future::join_all(asked).await.concat()
}

/// What a process says is wrong with it.
fn problems(report: &serde_json::Value) -> Vec<String> {
    let problems = report["problems"].as_array().into_iter().flatten();
    problems.filter_map(|problem| problem.as_str().map(ToOwned::to_owned)).collect()
}

impl Facts {
    pub(super) async fn gather(bus: &dyn Bus) -> Result<Self, BusError> {
        let orchestrators = bus.instances(mesh_orchestrator::SERVICE).await?;
        let mut health = bus.health().await?;
        // Between two requests of its owner a shard looks as if it had none, and an event that came again may be dealt with.
        let until = Instant::now() + PIN_TIMEOUT;
        while !orchestrators.is_empty()
            && (!lonely_shards(&health).is_empty() || repeats(&health))
            && Instant::now() < until
        {
            sleep(AGAIN).await;
            health = bus.health().await?;
        }
        let agents = or_nothing(alive(bus).await)?;
        let workflows = or_nothing(definitions::all(bus).await)?;
        let all = supply(&health, &agents, &[]);
        let unserved = all.iter().filter(|(_, supply)| !is_served(supply) && supply.unsettled() > 0);
        let wanted = unwanted::wanted(bus, unserved.map(|(capability, _)| capability)).await;
        Ok(Self {
            complaints: complaints(bus, &agents).await,
            agents,
            workflows,
            wanted: or_nothing(wanted)?,
            letter: or_nothing(bus.last(Stream::Dead, &format!("{}.dead.>", bus.namespace())).await)?,
            fill: or_nothing(bus.fill().await)?,
            orchestrators,
            health,
        })
    }
}

/// A stream that is missing is a finding, and no reason not to look at the others.
fn or_nothing<T: Default>(found: Result<T, BusError>) -> Result<T, BusError> {
    match found {
        Err(BusError::NotSetUp(_)) => Ok(T::default()),
        found => found,
    }
}

/// Whether events of shards were given out more than once, and are not settled.
fn repeats(health: &Health) -> bool {
    health.consumers.iter().any(|consumer| match (&consumer.role, &consumer.found) {
        (Role::Shard(_), Some(state)) => state.repeated > 0,
        _ => false,
    })
}

/// Shards whose events nobody asks for.
pub(super) fn lonely_shards(health: &Health) -> Vec<u32> {
    let consumers = health.consumers.iter();
    consumers
        .filter_map(|consumer| match (&consumer.role, &consumer.found) {
            (Role::Shard(shard), Some(state)) if !state.is_asked() => Some(*shard),
            _ => None,
        })
        .collect()
}
