use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::super::state::RunState;
use super::Display;
use super::describe::{STATUS_WIDTH, detail, id_width};
use crate::text;

/// A line on stderr for each change, with the time at which it was stored.
#[derive(Default)]
pub(super) struct Lines {
    /// What was said last of the task at a place.
    said: BTreeMap<usize, String>,
}

impl Display for Lines {
    fn begin(&mut self, state: &RunState) {
        eprintln!("{}  run {} of {} began", text::clock(state.started), state.run, state.target);
        let places: Vec<usize> = (0..state.tasks.len()).collect();
        self.change(state, &places, state.started);
    }

    fn change(&mut self, state: &RunState, places: &[usize], at: DateTime<Utc>) {
        let width = id_width(&state.tasks);
        for place in places {
            let task = &state.tasks[*place];
            if task.status == "pending" {
                continue;
            }
            let line = format!("{:width$}  {:STATUS_WIDTH$}  {}", task.id, task.status, detail(task));
            if self.said.get(place) != Some(&line) {
                eprintln!("{}  {}", text::clock(at), line.trim_end());
                self.said.insert(*place, line);
            }
        }
    }

    fn end(&mut self, state: &RunState) {
        let took = state.duration_ms.map(text::took).unwrap_or_default();
        let ended = state.ended.unwrap_or(state.started);
        eprintln!("{}  run {} in {took}", text::clock(ended), state.status.as_str());
    }

    fn say(&mut self, text: &str) {
        eprintln!("{text}");
    }
}
