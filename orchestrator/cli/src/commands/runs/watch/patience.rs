use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_bus::{Bus, BusError, Fill};
use mesh_orchestrator::{NEARLY_FULL, OrchestratorReport, ROOM};
use mesh_schemas::document::nearest;
use mesh_schemas::{Capability, TaskId};

use super::super::state::{RunState, registered};

/// How often to look whether a run waits for somebody who is not there.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// How many looks in a row have to find the same before it is told: what starts at the same time needs its time.
const LOOKS: u32 = 2;
/// How many looks at a request that is not taken up before it is told that no orchestrator answers.
const SILENT_LOOKS: u32 = 4;

/// Knows what a run waits for in vain, and tells each thing once.
#[derive(Default)]
pub(super) struct Patience {
    /// Looks at a run that had not begun.
    before: u32,
    /// Whether it was told why it had not begun.
    is_late_told: bool,
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
            return Ok(self.before_it_began(bus).await.into_iter().collect());
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

    /// What is to be told of a request that nobody has taken up. That nobody is there is told when that lasts: while servers of
    /// a cluster come and go, those who are there may not be heard.
    async fn before_it_began(&mut self, bus: &dyn Bus) -> Option<String> {
        if self.is_late_told || self.before < LOOKS {
            return None;
        }
        let told =
            taken_up_late(bus).await.or_else(|| (self.before >= SILENT_LOOKS).then(|| NOBODY.to_owned()));
        self.is_late_told = told.is_some();
        told
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
    match taken_up_late(bus).await {
        Some(why) => why,
        // One that has lost its server is silent until it has found another.
        None => taken_up_late(bus).await.unwrap_or_else(|| NOBODY.to_owned()),
    }
}

/// Said where no orchestrator answers.
const NOBODY: &str = "no orchestrator has taken up the request so far, and none answers; it is kept until one does: `mesh \
                      orchestrator` starts one";

/// Why the orchestrators that are there have not taken up a request; `None` if none answers.
async fn taken_up_late(bus: &dyn Bus) -> Option<String> {
    let kept = "the request is kept and";
    // It may be that this user may not look.
    let Ok(orchestrators) = bus.instances(mesh_orchestrator::SERVICE).await else {
        return Some(format!("{kept} waits for an orchestrator; whether one is there cannot be seen"));
    };
    if orchestrators.is_empty() {
        return None;
    }
    let is_slowing = orchestrators.into_iter().any(|one| OrchestratorReport::read(one.report).slowing);
    Some(match bus.fill().await.ok().flatten() {
        Some(Fill { what, share }) if share.thousandths() >= NEARLY_FULL => format!(
            "{kept} waits for room: {what} is {} % full, and orchestrators take requests again when it is less than {} % \
             full. `mesh doctor` tells what makes room",
            share.thousandths() / 10,
            ROOM / 10
        ),
        Some(Fill { what, share }) if share.thousandths() >= ROOM => format!(
            "{kept} waits for room: {what} is {} % full. If it was {} % full before, orchestrators take requests again when it is \
             less than {} % full, else slowly. `mesh doctor` tells what makes room",
            share.thousandths() / 10,
            NEARLY_FULL / 10,
            ROOM / 10
        ),
        Some(Fill { what, share }) if is_slowing => format!(
            "{kept} waits for its turn: {what} is {} % full, and orchestrators take only so many requests at a time that \
             there is room for what follows from them. `mesh doctor` tells more",
            share.thousandths() / 10
        ),
        _ => format!(
            "{kept} waits: an orchestrator is there and has not taken it up so far. `mesh doctor` tells whether something is \
             in its way"
        ),
    })
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
