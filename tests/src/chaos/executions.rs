//! What agents say that they executed, and why some of it more than once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use mesh_schemas::{Attempt, RunId, TaskId};
use serde::{Deserialize, Serialize};

use super::faults::{Deed, Fault, Victim};

/// Milliseconds after which a signal has stopped a process for sure.
const STOPPED_AFTER: u64 = 50;
/// Milliseconds in which an agent that woke up begins all that it was about to begin.
const AT_ONCE: u64 = 50;

/// One execution, as the agent that did it wrote it down.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Execution {
    /// The agent's process.
    pub pid: u32,
    /// The run.
    pub run: RunId,
    /// The task.
    pub task: TaskId,
    /// Which try.
    pub attempt: Attempt,
    /// Which delivery of it.
    pub delivery: u64,
    /// When it began, in milliseconds.
    pub at: u64,
}

/// Executions of attempts.
#[derive(Debug, Default)]
pub(super) struct Executions {
    pub(super) count: usize,
    /// Those of an attempt that had been executed before.
    pub(super) again: usize,
    /// Of those, the ones that no fault accounts for, in words.
    pub(super) unexplained: Vec<String>,
}

/// Reads the records in a folder, and looks for a fault behind each repeated execution: its first agent was killed,
/// stopped or frozen between the two, or the server that keeps account of deliveries was; or the agent had just been
/// frozen, with the delivery on its way to it; or its second agent was frozen when it was about to begin, which is what it
/// then does first, with whatever else it was about to begin.
pub(super) fn of(folder: &Path, faults: &[Fault], ack_wait: Duration) -> Result<Executions> {
    let mut attempts: BTreeMap<(RunId, TaskId, Attempt), Vec<Execution>> = BTreeMap::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(&path)?.lines() {
            let execution: Execution =
                serde_json::from_str(line).with_context(|| format!("a line of {}", path.display()))?;
            let key = (execution.run, execution.task.clone(), execution.attempt);
            attempts.entry(key).or_default().push(execution);
        }
    }
    let mut begun: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    for execution in attempts.values().flatten() {
        begun.entry(execution.pid).or_default().insert(execution.at);
    }
    let mut all = Executions::default();
    for mut executions in attempts.into_values() {
        all.count += executions.len();
        executions.sort_by_key(|execution| execution.at);
        for pair in executions.windows(2) {
            let [before, after] = pair else { continue };
            all.again += 1;
            let is_behind = |fault: &Fault| {
                let waited = if fault.deed == Deed::Freeze { ack_wait.as_millis() as u64 } else { 0 };
                fault.touches(before.at - waited, after.at)
                    && (fault.victim == Victim::Server || fault.victim == Victim::Agent(before.pid))
            };
            let woke_up = |fault: &Fault| {
                let first = begun[&after.pid].range(fault.from + STOPPED_AFTER..).next();
                fault.deed == Deed::Freeze
                    && fault.victim == Victim::Agent(after.pid)
                    && fault.touches(before.at, after.at)
                    && first.is_some_and(|first| after.at <= first + AT_ONCE)
            };
            if !faults.iter().any(|fault| is_behind(fault) || woke_up(fault)) {
                all.unexplained.push(format!("{before:?}, then {after:?}"));
            }
        }
    }
    Ok(all)
}
