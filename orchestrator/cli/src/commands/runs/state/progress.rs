//! How far a run is, and how long it may still take.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use mesh_schemas::{RunId, TaskId};
use serde::Serialize;

use super::RunState;
use super::past::Past;
use crate::text;

/// Tasks at work that are named to people.
const NAMED: usize = 3;

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Progress {
    /// What share of the tasks of the workflow is over, in percent. What is made of others is as far as those are on the
    /// average.
    percent: u8,
    /// The work under way.
    current: Vec<TaskId>,
    /// Milliseconds that it takes until its end if what is left takes as long as in an earlier run.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_ms: Option<u64>,
    /// The run of the same workflow that completed last, from which that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_from: Option<RunId>,
}

/// The task of the workflow itself that one belongs to.
pub(super) fn top(task: &TaskId) -> Option<TaskId> {
    task.parts().next()?.parse().ok()
}

impl RunState {
    /// How far it is, if it has not ended.
    pub(crate) fn progress_at(&self, now: DateTime<Utc>) -> Option<Progress> {
        if !self.status.is_open() {
            return None;
        }
        let told = |id: &TaskId| {
            let attempt = self.places.get(id).and_then(|place| self.tasks[*place].attempts.last());
            attempt.and_then(|attempt| attempt.progress.as_ref()).map_or(0.0, |(share, _)| *share)
        };
        let shares = self.fold.shares(&told);
        let is_at_work = |task: &&super::TaskState| {
            matches!(task.status, "active" | "retrying") && !task.attempts.is_empty()
        };
        let current = self.tasks.iter().filter(is_at_work).map(|task| task.id.clone()).collect();
        // How long what is done finally takes is not told by the tasks.
        let past = self.past.as_ref().filter(|_| !self.is_paused() && !self.fold.is_closing());
        Some(Progress {
            percent: percent(&shares),
            current,
            left_ms: past.map(|past| self.left(past, &shares, now)),
            estimated_from: past.map(|past| past.run),
        })
    }

    /// Milliseconds until the last of its tasks is over: each begins when all are over that it needs.
    fn left(&self, past: &Past, shares: &[(TaskId, f64)], now: DateTime<Utc>) -> u64 {
        let mut began: BTreeMap<TaskId, DateTime<Utc>> = BTreeMap::new();
        for task in &self.tasks {
            if let (Some(id), Some(started)) = (top(&task.id), task.started) {
                began.entry(id).and_modify(|first| *first = started.min(*first)).or_insert(started);
            }
        }
        let own = |id: &TaskId, share: f64| {
            let whole = past.millis.get(id).copied().unwrap_or_default();
            match began.get(id) {
                _ if share >= 1.0 => 0,
                Some(_) if share > 0.0 => of(whole, 1.0 - share),
                Some(began) => whole.saturating_sub(text::millis(*began, now)),
                None => whole,
            }
        };
        let tasks = &self.plan.definition.tasks;
        let mut missing: BTreeMap<&TaskId, usize> =
            tasks.iter().map(|(id, task)| (id, task.needs.len())).collect();
        let mut behind: BTreeMap<&TaskId, Vec<&TaskId>> = BTreeMap::new();
        for (id, task) in tasks {
            task.needs.iter().for_each(|need| behind.entry(need).or_default().push(id));
        }
        let own: BTreeMap<&TaskId, u64> = shares.iter().map(|(id, share)| (id, own(id, *share))).collect();
        let mut begins: BTreeMap<&TaskId, u64> = BTreeMap::new();
        let mut ready: Vec<&TaskId> = tasks.keys().filter(|id| missing[*id] == 0).collect();
        let mut last = 0;
        while let Some(id) = ready.pop() {
            let ends = begins.get(id).copied().unwrap_or_default() + own.get(id).copied().unwrap_or_default();
            last = ends.max(last);
            for next in behind.remove(id).unwrap_or_default() {
                let begin = begins.entry(next).or_default();
                *begin = ends.max(*begin);
                if let Some(left) = missing.get_mut(next) {
                    *left -= 1;
                    if *left == 0 {
                        ready.push(next);
                    }
                }
            }
        }
        last
    }
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "for people"
)]
fn of(millis: u64, share: f64) -> u64 {
    (millis as f64 * share) as u64
}

/// Never 100 as long as anything is open.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "for people"
)]
fn percent(shares: &[(TaskId, f64)]) -> u8 {
    let sum: f64 = shares.iter().map(|(_, share)| share).sum();
    (sum / shares.len().max(1) as f64 * 100.0).min(99.0) as u8
}

impl fmt::Display for Progress {
    /// As in `43%, about 12s left: fetch, load`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.percent)?;
        if self.left_ms == Some(0) {
            write!(f, ", longer than an earlier run took for that")?;
        } else if let Some(left_ms) = self.left_ms {
            // Nobody knows it more exactly.
            let left_ms =
                if left_ms < 10_000 { left_ms.div_ceil(100) * 100 } else { left_ms.div_ceil(1_000) * 1_000 };
            write!(f, ", about {} left", text::took(left_ms))?;
        }
        let named: Vec<&str> = self.current.iter().take(NAMED).map(TaskId::as_str).collect();
        if !named.is_empty() {
            write!(f, ": {}", named.join(", "))?;
        }
        match self.current.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
