use std::fmt::Write;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use indicatif::{MultiProgress, ProgressBar, ProgressFinish, ProgressState, ProgressStyle};

use super::super::state::{RunState, TaskState};
use super::Display;
use super::describe::{MANY_TASKS, STATUS_WIDTH, detail, id_width, is_in_trouble};
use crate::text;

/// How often it is looked how far the run is: all of its tasks tell.
const LOOK: Duration = Duration::from_millis(250);
/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(100);
/// Lines of the terminal that are not for tasks: the run's own, and the one with the cursor.
const OTHER_LINES: usize = 2;
/// Lines of a terminal that does not say how many it has.
const USUAL_LINES: usize = 24;

/// A line for each task on a terminal. If there are more tasks than lines, only those under way have moving lines, and
/// those that ended stand above; of very many, only the run has a line, and those in trouble stand above.
pub(super) struct Live {
    lines: MultiProgress,
    /// By place of the task.
    tasks: Vec<Option<ProgressBar>>,
    run: Option<ProgressBar>,
    /// As wide as the longest id.
    width: usize,
    is_roomy: bool,
    has_many: bool,
    /// How far the run is, and when that was looked at.
    progress: Option<(Instant, String)>,
}

impl Live {
    pub(super) fn new() -> Self {
        let (tasks, run, width) = (Vec::new(), None, 0);
        Self {
            lines: MultiProgress::new(),
            tasks,
            run,
            width,
            is_roomy: true,
            has_many: false,
            progress: None,
        }
    }

    /// The line of a task, which is made when it is needed.
    fn line_of(&mut self, place: usize) -> ProgressBar {
        if let Some(line) = &self.tasks[place] {
            return line.clone();
        }
        let line = match &self.run {
            Some(run) => self.lines.insert_before(run, line()),
            None => self.lines.add(line()),
        };
        self.tasks[place] = Some(line.clone());
        line
    }

    fn show(&mut self, state: &RunState, place: usize) {
        // Loops and groups bring tasks of which nothing was known in the beginning.
        self.tasks.resize(state.tasks.len().max(self.tasks.len()), None);
        let task = &state.tasks[place];
        if self.has_many && !is_in_trouble(task) {
            return;
        }
        let width = self.width;
        let text = format!("{:width$}  {:STATUS_WIDTH$}  {}", task.id, task.status, detail(task));
        if !self.is_roomy && task.status == "pending" {
            return;
        }
        if self.has_many || (!self.is_roomy && task.has_ended()) {
            if let Some(line) = self.tasks[place].take() {
                self.lines.remove(&line);
            }
            // A terminal that cannot be written to has nobody to tell.
            let _ = self.lines.println(format!("{} {}", symbol(task), text.trim_end()));
            return;
        }
        let line = self.line_of(place);
        line.set_style(style(task));
        line.set_message(text);
        if task.status == "active" {
            if let Some(attempt) = task.attempts.last() {
                line.set_elapsed((Utc::now() - attempt.started).to_std().unwrap_or_default());
            }
            line.enable_steady_tick(TURN);
        } else {
            line.disable_steady_tick();
        }
    }

    /// Leaves the lines as they are, with the cursor below them.
    fn leave(&mut self) {
        for line in self.tasks.drain(..).flatten() {
            line.abandon();
        }
        if let Some(run) = self.run.take() {
            run.abandon();
            eprintln!();
        }
    }

    fn show_run(&self, state: &RunState) {
        let Some(line) = &self.run else { return };
        let took = state.duration_ms.map(|duration_ms| format!(" in {}", text::took(duration_ms)));
        let counts = if self.has_many { format!(" ({})", state.counts) } else { String::new() };
        let progress = self.progress.as_ref().map(|(_, progress)| format!(", {progress}"));
        let progress = progress.filter(|_| state.status.is_open()).unwrap_or_default();
        line.set_message(format!(
            "run {} {}{}{progress}, {}/{} tasks{counts}, {}",
            state.run,
            state.status.as_str(),
            took.unwrap_or_default(),
            state.counts.ended(),
            state.tasks.len(),
            state.target,
        ));
    }
}

impl Display for Live {
    fn begin(&mut self, state: &RunState) {
        self.width = id_width(&state.tasks);
        self.has_many = state.tasks.len() > MANY_TASKS;
        self.is_roomy = state.tasks.len() + OTHER_LINES <= rows();
        self.tasks = vec![None; state.tasks.len()];
        let run = self.lines.add(line());
        run.set_style(template("{wide_msg:.bold}"));
        // Not every change is drawn at once: this draws the last of them.
        run.enable_steady_tick(TURN);
        self.run = Some(run);
        for place in 0..state.tasks.len() {
            self.show(state, place);
        }
        self.show_run(state);
    }

    fn change(&mut self, state: &RunState, places: &[usize], at: DateTime<Utc>) {
        for place in places {
            self.show(state, *place);
        }
        self.progress(state, at);
    }

    fn progress(&mut self, state: &RunState, now: DateTime<Utc>) {
        if self.progress.as_ref().is_none_or(|(looked, _)| looked.elapsed() >= LOOK) {
            let progress = state.progress_at(now).map(|progress| progress.to_string());
            self.progress = progress.map(|progress| (Instant::now(), progress));
        }
        self.show_run(state);
    }

    fn end(&mut self, state: &RunState) {
        self.show_run(state);
        self.leave();
    }

    fn say(&mut self, text: &str) {
        let _ = self.lines.println(text);
    }
}

impl Drop for Live {
    /// The watching may be interrupted.
    fn drop(&mut self) {
        self.leave();
    }
}

/// A line that stays where it is when it is dropped.
fn line() -> ProgressBar {
    ProgressBar::new_spinner().with_finish(ProgressFinish::Abandon)
}

fn symbol(task: &TaskState) -> &'static str {
    match task.status {
        "done" => "✓",
        "failed" | "cancelled" => "✗",
        "skipped" => "–",
        "retrying" => "↻",
        _ => "·",
    }
}

fn style(task: &TaskState) -> ProgressStyle {
    let symbol = symbol(task);
    let style = template(match task.status {
        "active" => "{spinner:.cyan} {wide_msg} {elapsed:.dim}",
        "done" => "{symbol:.green} {wide_msg}",
        "failed" => "{symbol:.red} {wide_msg}",
        "retrying" | "cancelled" => "{symbol:.yellow} {wide_msg}",
        _ => "{symbol:.dim} {wide_msg:.dim}",
    });
    style.with_key("symbol", move |_: &ProgressState, out: &mut dyn Write| {
        // Writing to a line in memory does not fail.
        let _ = out.write_str(symbol);
    })
}

fn template(text: &str) -> ProgressStyle {
    ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Lines of the terminal.
fn rows() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).map(|size| usize::from(size.ws_row));
    size.ok().filter(|rows| *rows > 0).unwrap_or(USUAL_LINES)
}
