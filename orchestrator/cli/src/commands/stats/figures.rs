use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mesh_schemas::payload::code;
use mesh_schemas::{RunId, TaskId, WorkflowName};
use serde::Serialize;

use super::insights::{Insight, insights};
use super::sample::{Quantiles, Sample};
use crate::commands::runs::RunStatus;
use crate::commands::trace::story::{AttemptStory, Kind, Outcome, Story};

/// Most tasks that are told of one by one: agents may plan tasks of any name.
const MOST_TASKS: usize = 1_000;
/// Most codes of errors that are counted one by one; what is more is counted as `other`.
const MOST_CODES: usize = 20;
/// Most open runs that are remembered: the oldest.
const MOST_OPEN: usize = 100;

/// Figures over runs of a workflow.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) workflow: WorkflowName,
    pub(super) since: DateTime<Utc>,
    pub(super) until: DateTime<Utc>,
    pub(super) runs: RunFigures,
    /// How long the completed runs took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration: Option<Quantiles>,
    /// Milliseconds of the critical paths of the runs that ended, by what they were spent with.
    pub(super) time: BTreeMap<Kind, u64>,
    pub(super) tasks: BTreeMap<TaskId, TaskFigures>,
    /// Whether there were more tasks, by name, than are told of.
    pub(super) tasks_left_out: bool,
    /// The open runs that began first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) open: Vec<OpenRun>,
    pub(super) insights: Vec<Insight>,
    #[serde(skip)]
    pub(super) completed: Sample,
    #[serde(skip)]
    pub(super) critical_ms: u64,
}

/// A run that has not ended.
#[derive(Debug, Serialize)]
pub(super) struct OpenRun {
    pub(super) run: RunId,
    pub(super) started: DateTime<Utc>,
    pub(super) waiting_for: Vec<String>,
    /// Whether it waits for what nobody does.
    pub(super) is_stuck: bool,
}

/// How the runs stand.
#[derive(Debug, Default, Serialize)]
pub(super) struct RunFigures {
    /// That began in the time and were looked at.
    pub(super) started: u64,
    pub(super) running: u64,
    pub(super) paused: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    /// How many of those that completed or failed completed, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) success_rate: Option<f64>,
    /// How often runs failed with which code.
    pub(super) failures: BTreeMap<String, u64>,
    /// That began in the time and were not looked at, as there were too many.
    pub(super) left_out: u64,
    /// Of which nothing is left that could be read.
    pub(super) unreadable: u64,
}

/// How the attempts of a task went, over all runs and all items of a loop.
#[derive(Debug, Default, Serialize)]
pub(super) struct TaskFigures {
    pub(super) attempts: u64,
    /// Attempts that were not the first.
    pub(super) retries: u64,
    /// Attempts that ended.
    pub(super) ended: u64,
    /// Attempts that failed; what was given up as its run had ended is not counted.
    pub(super) failed: u64,
    /// Attempts that were given to agents more than once.
    pub(super) redelivered: u64,
    /// How often attempts failed with which code.
    pub(super) failures: BTreeMap<String, u64>,
    /// Until an agent took it; only of attempts of which that is noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wait: Option<Quantiles>,
    /// From then on; of a run of its own, from its beginning to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) work: Option<Quantiles>,
    /// What share of the critical paths of the runs that ended is its own, from 0 to 1.
    pub(super) critical_share: f64,
    #[serde(skip)]
    pub(super) waits: Sample,
    #[serde(skip)]
    pub(super) works: Sample,
    #[serde(skip)]
    pub(super) capability: Option<String>,
    #[serde(skip)]
    critical_ms: u64,
}

impl Figures {
    pub(super) fn new(workflow: WorkflowName, since: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self {
            workflow,
            since,
            until,
            runs: RunFigures::default(),
            duration: None,
            time: BTreeMap::new(),
            tasks: BTreeMap::new(),
            tasks_left_out: false,
            insights: Vec::new(),
            completed: Sample::default(),
            open: Vec::new(),
            critical_ms: 0,
        }
    }

    /// Counts a run.
    pub(super) fn add(&mut self, story: &Story) {
        self.runs.started += 1;
        match story.status {
            RunStatus::Running => self.runs.running += 1,
            RunStatus::Paused => self.runs.paused += 1,
            RunStatus::Completed => {
                self.runs.completed += 1;
                self.completed.add(story.duration_ms);
            }
            RunStatus::Failed => {
                self.runs.failed += 1;
                let code = story.error.as_ref().map_or("unknown", |error| error.code.as_str());
                count(&mut self.runs.failures, code);
            }
            RunStatus::Cancelled => self.runs.cancelled += 1,
        }
        if story.status == RunStatus::Running {
            let (run, started, waiting_for) = (story.run, story.started, story.waiting_for.clone());
            self.open.push(OpenRun { run, started, waiting_for, is_stuck: story.is_left_alone() });
            self.open.sort_by_key(|open| open.started);
            self.open.truncate(MOST_OPEN);
        }
        let has_ended = story.ended.is_some();
        if has_ended {
            self.critical_ms += story.critical_path.total_ms;
            for (kind, ms) in &story.critical_path.by_kind {
                *self.time.entry(*kind).or_default() += ms;
            }
        }
        for task in &story.tasks {
            let id = task.id.without_numbers();
            if self.tasks.len() >= MOST_TASKS && !self.tasks.contains_key(&id) {
                self.tasks_left_out = true;
                continue;
            }
            let figures = self.tasks.entry(id).or_default();
            if has_ended {
                figures.critical_ms += task.critical_ms;
            }
            for attempt in &task.attempts {
                figures.add(attempt);
            }
        }
    }

    /// Works out what follows from all that was counted.
    pub(super) fn conclude(&mut self) {
        let decided = self.runs.completed + self.runs.failed;
        self.runs.success_rate = (decided > 0).then(|| share(self.runs.completed, decided));
        self.duration = self.completed.quantiles();
        for figures in self.tasks.values_mut() {
            figures.wait = figures.waits.quantiles();
            figures.work = figures.works.quantiles();
            figures.critical_share = share(figures.critical_ms, self.critical_ms);
        }
        self.insights = insights(self);
    }
}

impl TaskFigures {
    fn add(&mut self, attempt: &AttemptStory) {
        self.attempts += 1;
        self.retries += u64::from(attempt.attempt.get() > 1);
        self.redelivered += u64::from(attempt.deliveries.len() > 1);
        if self.capability.is_none() && attempt.run.is_none() {
            self.capability = attempt.capability.as_ref().map(ToString::to_string);
        }
        let code = attempt.error.as_ref().map(|error| error.code.as_str());
        let is_over = matches!(attempt.outcome, Outcome::Completed | Outcome::Failed | Outcome::GivenUp);
        if is_over && code != Some(code::RUN_ENDED) {
            self.ended += 1;
            self.failed += u64::from(attempt.outcome != Outcome::Completed);
            if attempt.outcome != Outcome::Completed {
                count(&mut self.failures, code.unwrap_or("unknown"));
            }
        }
        // What goes on is counted as long as it took so far only where it is told whether anybody took it.
        if let Some(wait) = attempt.wait_ms {
            self.waits.add(wait);
        }
        let work = attempt.work_ms.or_else(|| attempt.run.map(|_| attempt.took_ms));
        if let Some(work) = work.filter(|_| is_over && code != Some(code::RUN_ENDED)) {
            self.works.add(work);
        }
    }

    /// How many of the attempts that ended failed, from 0 to 1.
    pub(super) fn failure_rate(&self) -> f64 {
        share(self.failed, self.ended)
    }
}

/// Counts a code, or another one if there are too many.
fn count(codes: &mut BTreeMap<String, u64>, code: &str) {
    let is_known = codes.contains_key(code) || codes.len() < MOST_CODES;
    *codes.entry(if is_known { code } else { "other" }.to_owned()).or_default() += 1;
}

/// A part of a whole, from 0 to 1; 0 of nothing.
#[allow(clippy::cast_precision_loss, reason = "for people")]
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
