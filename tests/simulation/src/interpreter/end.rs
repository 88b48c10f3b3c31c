use std::collections::{BTreeMap, BTreeSet};

use mesh_schemas::payload::{TaskCounts, code};
use mesh_schemas::{Attempt, TaskId, Timer};
use serde_json::Value;

use super::expected::{Decided, End, Ended};
use super::life::{Life, Lives, Over};
use super::log::{Fact, Log};
use crate::workload::{Scope, Task, Workflow};

/// Where a run ends, and why.
pub(super) struct RunEnd<'a> {
    /// Place of the event.
    pub(super) at: usize,
    why: Why,
    /// The tasks that have ended when the run does.
    over: BTreeSet<&'a TaskId>,
}

enum Why {
    /// All tasks have ended.
    AllOver,
    /// This one failed.
    Task(TaskId),
    Deadline,
    Cancelled(Option<String>),
    /// The log has the end of the run although nothing in it leads there.
    Told,
}

/// The first event that ends the run, if one does.
pub(super) fn find<'a>(workflow: &'a Workflow, log: &Log, lives: &Lives) -> Option<RunEnd<'a>> {
    let from_outside = log.first_behind(log.started, |fact| match fact {
        Fact::Cancel(reason) => Some(Why::Cancelled(reason.clone())),
        Fact::Fired(Timer::Deadline) => Some(Why::Deadline),
        Fact::Ended => Some(Why::Told),
        _ => None,
    });
    let by_failure =
        lives.all.values().filter_map(|life| life.over.as_ref()).filter(|(_, over)| over.ends_run());
    let by_failure = by_failure.map(|(at, _)| *at).min();
    let over_at: Option<Vec<usize>> =
        lives.all.values().map(|life| life.over.as_ref().map(|(at, _)| *at)).collect();
    let by_tasks = by_failure.or_else(|| over_at.and_then(|all| all.into_iter().max()));
    // An event from outside ends no task, so the two are never the same.
    match (by_tasks, from_outside) {
        (Some(at), outside) if outside.as_ref().is_none_or(|(other, _)| at < *other) => {
            let mut over = over_before(workflow, lives, at);
            let failed = at_once(workflow, log, lives, at, &mut over);
            Some(RunEnd { at, why: failed.map_or(Why::AllOver, |id| Why::Task(id.clone())), over })
        }
        (_, Some((at, why))) => Some(RunEnd { at, why, over: over_before(workflow, lives, at) }),
        _ => None,
    }
}

/// The tasks that have ended before an event.
fn over_before<'a>(workflow: &'a Workflow, lives: &Lives, place: usize) -> BTreeSet<&'a TaskId> {
    let is_over = |id: &&TaskId| matches!(lives.all[*id].over, Some((at, _)) if at < place);
    workflow.tasks.keys().filter(is_over).collect()
}

/// Adds the tasks that end with one event, in order, up to the one that ends the run, which is returned.
///
/// One event may end many tasks: those that become ready by it and are skipped or impossible, and those behind them. Tasks
/// that become ready together are looked at in the order of their ids, then those that wait for the last of them that
/// ended at once, and so on back to the first.
fn at_once<'a>(
    workflow: &'a Workflow,
    log: &Log,
    lives: &Lives,
    place: usize,
    over: &mut BTreeSet<&'a TaskId>,
) -> Option<&'a TaskId> {
    let ends_here = |id: &TaskId| matches!(lives.all[id].over, Some((at, _)) if at == place);
    let mut told = over.clone();
    let mut open: Vec<&TaskId> = Vec::new();
    let mut looked_at: Vec<&TaskId> = if place == log.started {
        workflow.tasks.iter().filter(|(_, task)| task.needs.is_empty()).map(|(id, _)| id).collect()
    } else {
        // The event itself ends one task at most: the others only became ready by it.
        workflow.tasks.keys().filter(|id| ends_here(id) && lives.all[*id].ready != Some(place)).collect()
    };
    loop {
        for id in looked_at {
            let Some((at, end)) = &lives.all[id].over else { continue };
            if *at != place {
                continue;
            }
            over.insert(id);
            if end.ends_run() {
                return Some(id);
            }
            open.push(id);
        }
        let last = open.pop()?;
        told.insert(last);
        let ready = |(_, task): &(&TaskId, &Task)| task.needs.iter().all(|need| told.contains(need));
        looked_at = workflow.after(last).filter(ready).map(|(id, _)| id).collect();
    }
}

/// Attempts whose failure the orchestrator itself reports, with its code: those that cannot even begin, and those that are
/// with agents when the run ends.
pub(super) fn given_up(
    lives: &Lives,
    end: Option<&RunEnd<'_>>,
) -> BTreeMap<(TaskId, Attempt), Decided<&'static str>> {
    let mut given_up = BTreeMap::new();
    for (id, life) in &lives.all {
        if let (true, Some((at, _))) = (life.impossible, &life.over)
            && end.is_none_or(|end| end.over.contains(id))
        {
            given_up.insert((id.clone(), Attempt::FIRST), Decided { at: *at, what: code::EXPRESSION });
        }
        if let Some(end) = end
            && !matches!(end.why, Why::Told)
            && let Some(attempt) = open_at(life, end.at)
        {
            given_up.insert((id.clone(), attempt), Decided { at: end.at, what: code::RUN_ENDED });
        }
    }
    given_up
}

/// The attempt that is with an agent when an event comes, and after it.
fn open_at(life: &Life, place: usize) -> Option<Attempt> {
    let open = |answered: Option<usize>| answered.is_none_or(|at| at > place);
    life.tries.iter().find(|tried| tried.created < place && open(tried.answered)).map(|tried| tried.attempt)
}

impl RunEnd<'_> {
    /// The end as the orchestrator is to store it; none if it stands in the log already.
    pub(super) fn decided(&self, workflow: &Workflow, log: &Log, lives: &Lives) -> Option<Decided<Ended>> {
        let end = match &self.why {
            Why::Told => return None,
            Why::Cancelled(reason) => End::Cancelled { reason: reason.clone() },
            Why::Deadline => End::Failed { code: code::TIMEOUT.to_owned(), task: None },
            Why::Task(id) => match &lives.all[id].over {
                Some((_, Over::Failed { error, .. })) => {
                    End::Failed { code: error.code.clone(), task: Some(id.clone()) }
                }
                _ => unreachable!("only a failed task ends a run"),
            },
            Why::AllOver => match run_output(workflow, log, lives) {
                Some(output) => End::Completed { output },
                None => End::Failed { code: code::EXPRESSION.to_owned(), task: None },
            },
        };
        let took = log.events[self.at].time - log.events[log.started].time;
        let duration_ms = u64::try_from(took.num_milliseconds()).unwrap_or_default();
        Some(Decided { at: self.at, what: Ended { end, tasks: self.counts(lives), duration_ms } })
    }

    fn counts(&self, lives: &Lives) -> TaskCounts {
        let mut counts = TaskCounts::default();
        for (id, life) in &lives.all {
            match &life.over {
                Some((_, over)) if self.over.contains(id) => match over {
                    Over::Done => counts.done += 1,
                    Over::Skipped => counts.skipped += 1,
                    Over::Failed { .. } => counts.failed += 1,
                },
                _ => counts.cancelled += 1,
            }
        }
        counts
    }
}

/// The output of a run: what the workflow says or, if it says nothing, the outputs of the tasks that nobody needs.
fn run_output(workflow: &Workflow, log: &Log, lives: &Lives) -> Option<Value> {
    let Some(output) = &workflow.output else {
        let last = lives.outputs.iter().filter(|(id, _)| workflow.after(id).next().is_none());
        return Some(last.map(|(id, output)| (id.to_string(), output.clone())).collect());
    };
    let scope =
        Scope { input: &log.input, outputs: &lives.outputs, run: &log.variables, result: &Value::Null };
    output.render(&scope).ok()
}
