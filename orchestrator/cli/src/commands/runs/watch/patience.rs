use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_bus::{Bus, BusError, Fill};
use mesh_orchestrator::ROOM;
use mesh_schemas::document::nearest;
use mesh_schemas::{Capability, TaskId};

use super::super::state::{RunState, registered};

/// How often to look whether a run waits for somebody who is not there.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// How many looks in a row have to find the same before it is told: what starts at the same time needs its time.
const LOOKS: u32 = 2;

/// Knows what a run waits for in vain, and tells each thing once.
#[derive(Default)]
pub(super) struct Patience {
    /// Looks at a run that had not begun.
    before: u32,
    /// Looks in a row that found tasks of a capability that nobody had taken.
    waiting: BTreeMap<Capability, u32>,
    told: BTreeSet<Capability>,
}

impl Patience {
    /// Looks at a run that was asked for; it has no state before it begins. Returns what is to be told.
    pub(super) async fn look(
        &mut self,
        bus: &dyn Bus,
        state: Option<&RunState>,
    ) -> Result<Vec<String>, BusError> {
        let Some(state) = state else {
            self.before += 1;
            return Ok(if self.before == LOOKS { vec![not_taken_up(bus).await] } else { Vec::new() });
        };
        let wanted = wanted(state);
        let due = self.due(&wanted);
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let registered = registered(bus).await?;
        let unserved = due.into_iter().filter(|capability| !registered.contains(capability));
        Ok(unserved
            .filter(|capability| self.told.insert(capability.clone()))
            .map(|capability| nobody(&capability, &wanted[&capability], &registered))
            .collect())
    }

    /// The capabilities that have been waited for long enough to ask who has them.
    fn due(&mut self, wanted: &BTreeMap<Capability, TaskId>) -> Vec<Capability> {
        self.waiting.retain(|capability, _| wanted.contains_key(capability));
        let mut due = Vec::new();
        for capability in wanted.keys().filter(|capability| !self.told.contains(capability)) {
            let looks = self.waiting.entry(capability.clone()).or_default();
            *looks += 1;
            if *looks >= LOOKS {
                due.push(capability.clone());
            }
        }
        due
    }
}

/// What to tell of a request that is stored and no run yet.
pub(crate) async fn not_taken_up(bus: &dyn Bus) -> String {
    match waits_for_room(bus).await {
        Ok(Some(Fill { what, share })) => format!(
            "the request is kept and waits for room: {what} is {} % full, and orchestrators take requests again when it is \
             less than {} % full. `mesh doctor` tells what makes room",
            share.thousandths() / 10,
            ROOM / 10
        ),
        // It may be that this user may not look.
        Ok(None) | Err(_) => {
            "no orchestrator has taken up the request so far; it is kept until one does: `mesh \
                              orchestrator` starts one"
                .to_owned()
        }
    }
}

/// What is so full that the orchestrators there are let requests wait.
async fn waits_for_room(bus: &dyn Bus) -> Result<Option<Fill>, BusError> {
    let tight = bus.fill().await?.filter(|fill| fill.share.thousandths() >= ROOM);
    let is_taken = tight.is_some() && !bus.instances(mesh_orchestrator::SERVICE).await?.is_empty();
    Ok(tight.filter(|_| is_taken))
}

/// The capabilities of tasks that nobody has taken, each with one of its tasks.
fn wanted(state: &RunState) -> BTreeMap<Capability, TaskId> {
    let open = state.tasks.iter().filter(|task| task.status == "active" && task.agent.is_none());
    open.filter_map(|task| Some((task.capability.clone()?, task.id.clone()))).collect()
}

fn nobody(capability: &Capability, task: &TaskId, registered: &BTreeSet<Capability>) -> String {
    let near = nearest(capability.as_str(), registered.iter().map(Capability::as_str));
    let near = near.map(|near| format!(" (there are agents for '{near}')")).unwrap_or_default();
    format!(
        "task '{task}' waits for an agent with the capability '{capability}', and none is registered{near}: `mesh agent \
         exec --capability {capability} -- COMMAND` makes one of a program of yours"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_asked_about_at_the_second_look_in_a_row() {
        let wanted = |names: &[&str]| -> BTreeMap<Capability, TaskId> {
            names.iter().map(|name| (name.parse().unwrap(), "t".parse().unwrap())).collect()
        };
        let mut patience = Patience::default();
        assert!(patience.due(&wanted(&["a"])).is_empty());
        assert_eq!(patience.due(&wanted(&["a", "b"])), ["a".parse().unwrap()]);
        assert!(patience.due(&wanted(&[])).is_empty());
        assert!(patience.due(&wanted(&["a", "b"])).is_empty(), "somebody was there in between");
        patience.told.insert("a".parse().unwrap());
        assert_eq!(patience.due(&wanted(&["a", "b"])), ["b".parse().unwrap()]);
    }
}
