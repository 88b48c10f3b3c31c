use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::OrchestratorReport;

/// What this orchestrator knows of itself and of its peers.
#[derive(Debug)]
pub(crate) struct Presence(Mutex<State>);

#[derive(Debug)]
struct State {
    rules: u32,
    shards: BTreeMap<u32, Option<String>>,
    /// Shards with something that a newer orchestrator may understand.
    beyond: BTreeSet<u32>,
    /// Shards that could not be had, and why.
    unable: BTreeMap<u32, String>,
    stopping: bool,
    has_peers: bool,
    /// Whether a peer knows newer rules.
    has_newer: bool,
}

impl Presence {
    /// An orchestrator alone that knows rules up to these.
    pub(crate) fn new(rules: u32) -> Self {
        Self(Mutex::new(State {
            rules,
            shards: BTreeMap::new(),
            beyond: BTreeSet::new(),
            unable: BTreeMap::new(),
            stopping: false,
            has_peers: false,
            has_newer: false,
        }))
    }

    /// What it tells of itself.
    pub(crate) fn report(&self) -> OrchestratorReport {
        let state = self.state();
        OrchestratorReport {
            rules: state.rules,
            shards: state.shards.clone(),
            leaves: state.beyond.iter().chain(state.unable.keys()).copied().collect(),
            stopping: state.stopping,
            ..OrchestratorReport::default()
        }
    }

    /// Whether a shard that it is to follow can be had; else, why not.
    pub(crate) fn follows(&self, shard: u32, had: Result<(), String>) {
        let mut state = self.state();
        match had {
            Ok(()) => {
                state.unable.remove(&shard);
                state.shards.insert(shard, None);
            }
            Err(why) => drop(state.unable.insert(shard, why)),
        }
    }

    /// The shards that could not be had, and why.
    pub(crate) fn unable(&self) -> BTreeMap<u32, String> {
        self.state().unable.clone()
    }

    /// A shard is not followed any more.
    pub(crate) fn lets_go(&self, shard: u32) {
        self.state().shards.remove(&shard);
    }

    /// An event of a shard came by this pinning.
    pub(crate) fn pinned(&self, shard: u32, pin: Option<String>) {
        if let Some(known) = self.state().shards.get_mut(&shard) {
            *known = pin;
        }
    }

    /// There is something in a shard that this orchestrator does not understand: if a newer one is there, it is to have
    /// the shard.
    pub(crate) fn does_not_understand(&self, shard: u32) {
        let mut state = self.state();
        if state.has_newer {
            state.beyond.insert(shard);
        }
    }

    /// Whether a peer may understand what this orchestrator does not.
    pub(crate) fn has_newer(&self) -> bool {
        self.state().has_newer
    }

    /// These peers are there now.
    pub(super) fn meet<'a>(&self, peers: impl Iterator<Item = &'a OrchestratorReport>) {
        let mut state = self.state();
        let rules = state.rules;
        let staying: Vec<u32> = peers.filter(|peer| !peer.stopping).map(|peer| peer.rules).collect();
        state.has_peers = !staying.is_empty();
        state.has_newer = staying.iter().any(|theirs| *theirs > rules);
        if !state.has_newer {
            state.beyond.clear();
        }
    }

    /// This orchestrator is about to stop. Returns whether others can stand by for its shards.
    pub(super) fn stop(&self) -> bool {
        let mut state = self.state();
        state.stopping = true;
        state.has_peers
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_left_only_while_somebody_may_understand_it() {
        let presence = Presence::new(1);
        let newer = OrchestratorReport { rules: 2, ..OrchestratorReport::default() };
        presence.does_not_understand(3);
        assert!(presence.report().leaves.is_empty(), "nobody else would");
        presence.meet([&newer].into_iter());
        presence.does_not_understand(3);
        assert_eq!(presence.report().leaves, [3].into());
        presence.meet([&OrchestratorReport { stopping: true, ..newer }].into_iter());
        assert!(presence.report().leaves.is_empty() && !presence.stop());
    }

    #[test]
    fn a_shard_that_cannot_be_had_is_left_until_it_can() {
        let presence = Presence::new(1);
        presence.follows(0, Err("no".to_owned()));
        assert_eq!(presence.report().leaves, [0].into());
        presence.follows(0, Ok(()));
        presence.pinned(0, Some("p".to_owned()));
        presence.pinned(1, Some("p".to_owned()));
        let report = presence.report();
        assert!(report.leaves.is_empty());
        assert_eq!(report.shards, [(0, Some("p".to_owned()))].into());
    }
}
