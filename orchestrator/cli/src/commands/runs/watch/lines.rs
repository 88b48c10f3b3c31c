use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::super::state::RunState;
use super::Display;
use super::describe::{MANY_TASKS, STATUS_WIDTH, detail, id_width, is_in_trouble};
use crate::text;

/// How much time passes before it is told again how far a run is, or how many tasks stand how.
const SUMMARY: TimeDelta = TimeDelta::seconds(5);

/// A line on stderr for each change, with the time at which it was stored.
#[derive(Default)]
pub(super) struct Lines {
    /// What was said last of the task at a place.
    said: BTreeMap<usize, String>,
    /// As wide as the longest id.
    width: usize,
    has_many: bool,
    /// When it was told last how many tasks stand how.
    summed_up: DateTime<Utc>,
    /// When it was told last how far the run is, and what.
    progress_told: Option<DateTime<Utc>>,
    progress: String,
}

impl Lines {
    fn sum_up(&mut self, state: &RunState, at: DateTime<Utc>) {
        if at - self.summed_up < SUMMARY {
            return;
        }
        self.summed_up = at;
        eprintln!("{}  {} tasks: {}", text::clock(at), state.tasks.len(), state.counts);
    }
}

impl Display for Lines {
    fn begin(&mut self, state: &RunState) {
        eprintln!("{}  run {} of {} began", text::clock(state.started), state.run, state.target);
        self.width = id_width(&state.tasks);
        self.has_many = state.tasks.len() > MANY_TASKS;
        let places: Vec<usize> = (0..state.tasks.len()).collect();
        self.change(state, &places, state.started);
    }

    fn change(&mut self, state: &RunState, places: &[usize], at: DateTime<Utc>) {
        let width = self.width;
        if self.has_many {
            self.sum_up(state, at);
        }
        for place in places {
            let task = &state.tasks[*place];
            if task.status == "pending" || (self.has_many && !is_in_trouble(task)) {
                continue;
            }
            let line = format!("{:width$}  {:STATUS_WIDTH$}  {}", task.id, task.status, detail(task));
            if self.said.get(place) != Some(&line) {
                eprintln!("{}  {}", text::clock(at), line.trim_end());
                self.said.insert(*place, line);
            }
        }
    }

    fn progress(&mut self, state: &RunState, now: DateTime<Utc>) {
        if now - *self.progress_told.get_or_insert(now) < SUMMARY {
            return;
        }
        let progress = state.progress_at(now).map(|progress| progress.to_string());
        // Nothing is told again and again of a run that stands still.
        if let Some(progress) = progress.filter(|progress| *progress != self.progress) {
            eprintln!("{}  progress {progress}", text::clock(now));
            self.progress = progress;
            self.progress_told = Some(now);
        }
    }

    fn end(&mut self, state: &RunState) {
        let took = state.duration_ms.map(text::took).unwrap_or_default();
        let ended = state.ended.unwrap_or(state.started);
        if self.has_many {
            self.summed_up = DateTime::default();
            self.sum_up(state, ended);
        }
        eprintln!("{}  run {} in {took}", text::clock(ended), state.status.as_str());
    }

    fn say(&mut self, text: &str) {
        eprintln!("{text}");
    }
}
