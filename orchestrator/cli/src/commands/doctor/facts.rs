use std::time::Duration;

use mesh_bus::topology::{PIN_TIMEOUT, Stream};
use mesh_bus::{Bus, BusError, Fill, Health, Instance, Role};
use mesh_orchestrator::definitions::{self, Registered};
use mesh_schemas::StoredMessage;
use tokio::time::{Instant, sleep};

use crate::supply::{Alive, alive};

/// Pause before a shard that nobody seems to follow is looked at again.
const AGAIN: Duration = Duration::from_millis(200);

/// Everything that is looked at, once.
pub(super) struct Facts {
    pub(super) health: Health,
    pub(super) orchestrators: Vec<Instance>,
    pub(super) agents: Vec<Alive>,
    pub(super) workflows: Vec<Registered>,
    /// The newest dead letter.
    pub(super) letter: Option<StoredMessage>,
    /// The fullest of what bounds the log.
    pub(super) fill: Option<Fill>,
}

impl Facts {
    pub(super) async fn gather(bus: &dyn Bus) -> Result<Self, BusError> {
        let orchestrators = bus.instances(mesh_orchestrator::SERVICE).await?;
        let mut health = bus.health().await?;
        // Between two requests of its owner a shard looks as if it had none.
        let until = Instant::now() + PIN_TIMEOUT;
        while !orchestrators.is_empty() && !lonely_shards(&health).is_empty() && Instant::now() < until {
            sleep(AGAIN).await;
            health = bus.health().await?;
        }
        Ok(Self {
            agents: or_nothing(alive(bus).await)?,
            workflows: or_nothing(definitions::all(bus).await)?,
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
