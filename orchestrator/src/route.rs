//! How many items of a loop are under way at a time, chosen from what agents could take on right now.

use mesh_bus::topology::Bucket;
use mesh_bus::{Bus, BusError, Role};
use mesh_core::Route;
use mesh_schemas::Capability;
use mesh_schemas::payload::{AgentRegistered, Mode, TaskRouted};

/// Complexity above which work is worth all that is free.
const COMPLEX: f64 = 0.8;
/// Share of free agents above which they may all be taken.
const SPARE: f64 = 0.7;
/// Dependency above which parts are done one after the other.
const DEPENDENT: f64 = 0.6;
/// How many are under way at a time if nothing speaks for more or less.
const USUAL: u32 = 3;

/// What there is of agents for some work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    /// Tasks that they run at once.
    capacity: u64,
    /// How many more they could take.
    free: u64,
}

/// Chooses.
///
/// # Errors
/// [`BusError`] if it cannot be told what agents there are.
pub(crate) async fn choose(bus: &dyn Bus, route: &Route) -> Result<TaskRouted, BusError> {
    Ok(choice(route, room(bus, &route.capabilities).await?))
}

/// The choice where every agent that there may be is idle.
pub(crate) fn with_all_free(route: &Route) -> TaskRouted {
    choice(route, Room { capacity: u64::from(route.most), free: u64::from(route.most) })
}

/// The room for work that asks for all of these: that of the scarcest.
async fn room(bus: &dyn Bus, capabilities: &[Capability]) -> Result<Room, BusError> {
    let entries = bus.entries(Bucket::Agents).await?;
    let agents = entries.iter().filter_map(|entry| serde_json::from_slice(&entry.value).ok());
    let agents: Vec<AgentRegistered> = agents.collect();
    let health = bus.health().await?;
    let of = |capability: &Capability| {
        let able = agents.iter().filter(|agent| agent.capabilities.contains(capability));
        let capacity: u64 = able.map(|agent| u64::from(agent.capacity)).sum();
        let is_its = |role: &Role| matches!(role, Role::Agents(of, _) if of == capability);
        let its = health.consumers.iter().filter(|consumer| is_its(&consumer.role));
        let busy: u64 = its.filter_map(|consumer| consumer.found.as_ref()).map(|state| state.in_hand).sum();
        Room { capacity, free: capacity.saturating_sub(busy) }
    };
    let scarcest = capabilities.iter().map(of).min_by_key(|room| room.free);
    Ok(scarcest.unwrap_or(Room { capacity: 0, free: 0 }))
}

fn choice(route: &Route, Room { capacity, free }: Room) -> TaskRouted {
    let &Route { complexity, dependency, most, .. } = route;
    let free = u32::try_from(free).unwrap_or(u32::MAX);
    let is_spare = capacity > 0 && f64::from(free) / capacity as f64 > SPARE;
    let (mode, width) = if complexity > COMPLEX && is_spare {
        (Mode::Parallel, free)
    } else if dependency > DEPENDENT {
        (Mode::Sequential, 1)
    } else {
        (Mode::Usual, USUAL.min(free))
    };
    TaskRouted { mode, width: width.min(most).max(1), complexity, dependency, free, capacity }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_follows_the_work_and_the_room() {
        let choose = |complexity, dependency, capacity, free| {
            let route = Route { complexity, dependency, most: 5, capabilities: Vec::new() };
            let TaskRouted { mode, width, .. } = choice(&route, Room { capacity, free });
            (mode, width)
        };
        assert_eq!(choose(0.9, 0.0, 10, 8), (Mode::Parallel, 5));
        assert_eq!(choose(0.9, 0.9, 4, 4), (Mode::Parallel, 4));
        assert_eq!(choose(0.9, 0.9, 10, 7), (Mode::Sequential, 1), "not enough of them are idle");
        assert_eq!(choose(0.8, 0.6, 10, 10), (Mode::Usual, 3));
        assert_eq!(choose(0.5, 0.5, 10, 2), (Mode::Usual, 2));
        assert_eq!(choose(0.9, 0.0, 0, 0), (Mode::Usual, 1), "one, whoever comes");
    }
}
