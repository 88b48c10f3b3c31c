//! What is seen of a simulation, and what must be true of it.

mod begins;
mod ends;
mod folds;
mod kept;
mod outcomes;
mod record;
mod runs;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use mesh_agents::Context;
use mesh_bus::WholeRun;
use mesh_bus::topology::Stream;
use mesh_core::Run;
use mesh_schemas::payload::{CancelSignal, RequestRejected, child_run, parent_signal, rejection};
use mesh_schemas::{
    Attempt, Lane, Namespace, RunId, Shards, StoredMessage, Subject, TaskId, TaskKey, WorkflowName,
};

use crate::interpreter::Found;
use crate::storm::Storm;
use crate::workload::{self, Workflow, Workload};
use record::{Origin, Record};

/// Sees every message as soon as it is stored.
pub(crate) struct Observer {
    namespace: Namespace,
    workload: Workload,
    shards: Shards,
    records: BTreeMap<RunId, Record>,
    /// Runs that clients may tell something although nobody has asked for them.
    inner: BTreeSet<RunId>,
    /// Runs that were cancelled by those that had started them, each with the cause of that.
    cancelled: BTreeMap<RunId, String>,
    events: u64,
    executions: u64,
    /// The attempts that were executed.
    executed: BTreeSet<(RunId, TaskId, Attempt)>,
    /// A hash of all that was stored.
    hash: DefaultHasher,
    is_calm: bool,
    /// Whether agents may be told by a server that is behind.
    may_read_behind: bool,
}

impl Observer {
    pub(crate) fn new(workload: &Workload, shards: Shards, storm: &Storm) -> Self {
        let namespace = Namespace::default();
        let record =
            |(place, run): (usize, &workload::Run)| (run.id(shards), Record::new(Origin::Asked(place)));
        let again = workload.runs.iter().enumerate().filter(|(_, run)| run.again.is_some());
        let again = again.map(|(place, run)| (run.id_again(shards), Record::new(Origin::Again(place))));
        let inner = workload.runs.iter().flat_map(|run| {
            run.inner.iter().map(|inner| child_run(&namespace, shards, &inner.key(run.id(shards))))
        });
        Self {
            inner: inner.collect(),
            cancelled: BTreeMap::new(),
            shards,
            workload: workload.clone(),
            records: workload.runs.iter().enumerate().map(record).chain(again).collect(),
            namespace,
            events: 0,
            executions: 0,
            executed: BTreeSet::new(),
            hash: DefaultHasher::new(),
            is_calm: storm.is_calm(),
            may_read_behind: storm.behind > 0,
        }
    }

    /// Takes note of a message that has just been stored.
    pub(crate) fn stored(&mut self, stored: StoredMessage) -> Result<(), String> {
        let subject = Subject::parse(&self.namespace, &stored.message.subject)
            .map_err(|error| format!("a message was stored that has no place: {error}"))?;
        match &subject {
            Subject::Dead { reason, .. } => return self.put_aside(reason.as_str(), &stored),
            // Tasks may start runs of a workflow that there is not.
            Subject::RequestRejected { name: Some(name), .. }
                if !self.workload.workflows.contains_key(name) =>
            {
                return Ok(());
            }
            Subject::RequestRejected { id, .. } if self.refused_again(&id.to_string(), &stored)? => {
                return Ok(());
            }
            Subject::RequestRejected { .. } => {
                return Err(format!("a request was rejected: {}", text(&stored)));
            }
            _ => {}
        }
        let Some(run) = subject.run() else { return Ok(()) };
        (&stored.message.subject, stored.sequence, stored.time, &stored.message.payload).hash(&mut self.hash);
        self.heard_of(&subject, run, &stored)?;
        let record = self.records.get_mut(&run).ok_or_else(|| format!("nobody asked for run {run}"))?;
        if let Subject::Checkpointed { upto, .. } = subject {
            let (cancelled, shards) = (&self.cancelled, self.shards);
            let is_cancelled =
                |key: &TaskKey| cancelled.contains_key(&child_run(&self.namespace, shards, key));
            return record.checkpoint(&self.namespace, upto, is_cancelled);
        }
        if matches!(subject, Subject::History { .. } | Subject::LateHistory { .. }) {
            record.histories.push(stored);
            return Ok(());
        }
        self.events += u64::from(record.take(&subject, stored)?);
        Ok(())
    }

    /// Takes note of a message that has just been removed.
    pub(crate) fn removed(&mut self, stream: Stream, removed: &StoredMessage) -> Result<(), String> {
        let subject = Subject::parse(&self.namespace, &removed.message.subject);
        if matches!(subject, Ok(Subject::Checkpointed { .. })) {
            // It says nothing that others do not say.
            return Ok(());
        }
        let run = subject.ok().and_then(|subject| subject.run());
        let record = run.and_then(|run| self.records.get_mut(&run));
        let record = record.ok_or_else(|| format!("{} was removed", removed.message.subject))?;
        record.removed(&self.namespace, stream, removed)
    }

    /// What is kept of a run when all is over must be all that happened in it.
    pub(crate) fn compare(&self, run: &RunId, kept: &WholeRun) -> Result<(), String> {
        let record = self.records.get(run).ok_or_else(|| format!("nobody asked for run {run}"))?;
        record.is_kept(kept).map_err(|wrong| format!("run {run}: {wrong}\n{}", record.told()))
    }

    /// Every run.
    pub(crate) fn runs(&self) -> Vec<RunId> {
        self.records.keys().copied().collect()
    }

    fn put_aside(&mut self, reason: &str, letter: &StoredMessage) -> Result<(), String> {
        let about = letter.message.headers.get("ce-subject").unwrap_or_default();
        let subject = Subject::parse(&self.namespace, about).map_err(|error| error.to_string())?;
        let record = subject.run().and_then(|run| self.records.get_mut(&run));
        let record = record.ok_or_else(|| format!("a dead letter about {about}"))?;
        match (reason, &subject) {
            // Too many deliveries were lost.
            ("poison", Subject::Task { .. }) => Ok(()),
            // A signal long before its run.
            ("unknown_run", Subject::Signalled { .. }) => {
                record.put_aside.insert(about.to_owned());
                Ok(())
            }
            // An outcome of an attempt that nobody has asked for.
            ("unknown_task", Subject::Task { key, .. }) if !record.has(key) => {
                record.put_aside.insert(about.to_owned());
                Ok(())
            }
            _ => Err(format!("a dead letter about {about}: {reason}")),
        }
    }

    /// Takes note of a task that has just come to an agent.
    pub(crate) fn handed(&mut self, key: TaskKey, delivery: u64) -> Result<(), String> {
        let record =
            self.records.get_mut(&key.run).ok_or_else(|| format!("nobody asked for run {}", key.run))?;
        record.handed.insert((key.task, key.attempt, delivery), record.log.len());
        Ok(())
    }

    /// Takes note of an execution that begins.
    pub(crate) fn executed(&mut self, context: &Context) -> Result<(), String> {
        self.executions += 1;
        outcomes::is_needed(self, context)?;
        let key = (context.run(), context.task().clone(), context.attempt());
        if !self.executed.insert(key) && self.is_calm {
            let (run, task, attempt) = (context.run(), context.task(), context.attempt());
            return Err(format!(
                "attempt {attempt} of {task} of run {run} was executed twice, and nothing was wrong"
            ));
        }
        Ok(())
    }

    /// Compares a run in an orchestrator's memory with the log.
    pub(crate) fn folded(&mut self, run: &Run, upto: u64) -> Result<(), String> {
        let record = self.records.get_mut(&run.header.run);
        let record = record.ok_or_else(|| format!("nobody asked for run {}", run.header.run))?;
        if record.again.contains(&run.upto()) {
            // The log has it elsewhere, and nothing has followed from it this time.
            return Ok(());
        }
        record.folds.compare(&self.namespace, &record.log, run, upto)
    }

    /// Runs that were asked for and have not ended. One that a task was to start may not begin.
    pub(crate) fn open_runs(&self) -> Vec<RunId> {
        let is_open = |record: &Record| {
            record.found.end.is_none()
                && match record.origin {
                    Origin::Asked(_) => true,
                    Origin::Again(_) => !record.is_refused,
                    Origin::Called(_) | Origin::Nowhere => record.has_begun(&self.namespace),
                }
        };
        self.records.iter().filter(|(_, record)| is_open(record)).map(|(run, _)| *run).collect()
    }

    /// Whether a run has ended.
    pub(crate) fn has_ended(&self, run: &RunId) -> bool {
        self.records.get(run).is_some_and(|record| record.found.end.is_some())
    }

    /// Runs that are paused, each with how often it was.
    pub(crate) fn standing(&self) -> Vec<(RunId, Option<WorkflowName>, u64)> {
        let is_paused = |found: &Found| {
            found.end.is_none() && found.paused.keys().next_back() > found.resumed.keys().next_back()
        };
        let standing = self.records.iter().filter(|(_, record)| is_paused(&record.found));
        let told = |(run, record): (&RunId, &Record)| {
            let workflow = self.workflow(record).and_then(|workflow| workflow.name);
            (*run, workflow, record.found.paused.keys().next_back().copied().unwrap_or_default())
        };
        standing.map(told).collect()
    }

    /// What must be true when all is over.
    pub(crate) fn judge(&mut self, storm: &Storm) -> Result<(), String> {
        runs::connect(self)?;
        begins::judge(self)?;
        let workflows: BTreeMap<RunId, Option<Workflow>> =
            self.records.iter().map(|(id, record)| (*id, self.workflow(record))).collect();
        for (id, record) in &mut self.records {
            let script =
                match (&record.origin, workflows[id].as_ref().and_then(|workflow| workflow.name.as_ref())) {
                    (Origin::Asked(_) | Origin::Again(_), _) if !record.is_refused => {
                        self.workload.script(*id, self.shards)
                    }
                    (Origin::Called(_), Some(name)) if record.has_begun(&self.namespace) => {
                        Some(self.workload.called(name, *id))
                    }
                    _ => None,
                };
            let judged = match (&workflows[id], script) {
                (Some(workflow), Some(script)) => ends::judge(&self.namespace, workflow, record, storm)
                    .and_then(|follows| {
                        let agents = outcomes::Agents { script, workflow, storm };
                        agents.judge(&self.namespace, record, &follows)
                    })
                    .and_then(|()| record.folds.judge(&self.namespace, &record.log)),
                _ => record.never_was(),
            };
            judged.map_err(|wrong| format!("run {:?} ({id}): {wrong}\n{}", record.origin, record.told()))?;
        }
        Ok(())
    }

    /// The workflow that a run follows; none if it was never asked for, or there is no such workflow.
    fn workflow(&self, record: &Record) -> Option<Workflow> {
        match &record.origin {
            Origin::Nowhere => None,
            Origin::Asked(place) | Origin::Again(place) => {
                self.workload.workflow(&self.workload.runs[*place])
            }
            Origin::Called(key) => {
                let mut workflows = self.workload.workflows.iter();
                workflows.find(|(name, _)| name.as_str() == key.capability.as_str()).map(|(_, it)| it.clone())
            }
        }
    }

    /// Takes note of a request to do a run again that is refused; `false` if it is none.
    fn refused_again(&mut self, id: &str, stored: &StoredMessage) -> Result<bool, String> {
        let mut records = self.records.iter_mut();
        let record = records
            .find(|(run, record)| run.uuid().to_string() == id && matches!(record.origin, Origin::Again(_)));
        let Some((_, record)) = record else { return Ok(false) };
        let (_, data) = record::read::<RequestRejected>(stored)?;
        record.is_refused = data.code == rejection::INVALID_RERUN;
        Ok(record.is_refused)
    }

    /// Takes note of what a message says of runs that nobody else has heard of.
    fn heard_of(&mut self, subject: &Subject, run: RunId, stored: &StoredMessage) -> Result<(), String> {
        match subject {
            Subject::Called { workflow, run, task, attempt } => {
                let (task, attempt, capability) = (task.clone(), *attempt, workflow.into());
                let key = TaskKey { capability, lane: Lane::Normal, run: *run, task, attempt };
                let run = child_run(&self.namespace, self.shards, &key);
                self.records.entry(run).or_default().origin = Origin::Called(key);
            }
            Subject::Signalled { id, .. } if *id == parent_signal() => {
                let (cause, CancelSignal { .. }) = record::read(stored)?;
                self.cancelled.insert(run, cause);
                self.records.entry(run).or_default();
            }
            Subject::Signalled { .. } if self.inner.contains(&run) => {
                self.records.entry(run).or_default();
            }
            _ => {}
        }
        Ok(())
    }

    /// The same if the same was stored, at the same times and in the same order.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.hash.finish()
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    pub(crate) fn executions(&self) -> u64 {
        self.executions
    }
}

fn text(stored: &StoredMessage) -> String {
    String::from_utf8_lossy(&stored.message.payload).into_owned()
}
