use std::cmp::Reverse;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use mesh_bus::{Bus, BusError, RunOutcome, RunWaiter};
use mesh_schemas::payload::Parent;
use mesh_schemas::{ErrorCode, RunId, TaskId};
use serde_json::Value;

use super::state::{EVENTS_GONE, Rerun, RunReader, RunState, TaskState, rank};
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::{self, Format, Output};
use crate::select::RunSelector;
use crate::text;
use crate::words::count;

/// Show one run: how it stands, its tasks, its output or error
#[derive(Args)]
pub(crate) struct Show {
    /// The run: its id, the beginning of it, or @last
    run: RunSelector,
    /// Show no more than so many tasks, those first that failed or are at work; 0 for all. For people, 200 unless said
    /// otherwise
    #[arg(long)]
    limit: Option<usize>,
    #[command(flatten)]
    output: Output,
}

/// Tasks that people are shown if they do not say how many: a few screens.
const SHOWN: usize = 200;

/// Longest input or output in a table, in characters: some lines.
const WIDEST: usize = 500;

impl Show {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus: Arc<dyn Bus> = Arc::new(connection.connect().await?);
        let run = self.run.resolve(&*bus).await?;
        let Some(mut state) = RunReader::new(Arc::clone(&bus)).read_with_notes(&run).await? else {
            return Err(unknown(bus, run).await);
        };
        let unless_said = if self.output.format == Format::Table { SHOWN } else { 0 };
        let left_out = leave_out(&mut state.tasks, self.limit.unwrap_or(unless_said));
        self.output.document(&state, || print(&state, left_out))?;
        Ok(Outcome::Done)
    }
}

/// Why the log has no run of that id.
pub(crate) async fn unknown(bus: Arc<dyn Bus>, run: RunId) -> anyhow::Error {
    let failure = |message: String| Failure::new(ErrorCode::UnknownRun, message).into();
    let look = async { RunWaiter::new(bus, run).await?.look().await };
    match look.await {
        Ok(Some(RunOutcome::Rejected(rejected))) => {
            let reasons = rejected.reasons.iter().map(|reason| format!("\n  {}", text::one_line(reason)));
            let reasons: String = reasons.collect();
            failure(format!("run {run} never began: its request was rejected ({}):{reasons}", rejected.code))
        }
        // An end that cannot be read makes no run of what is left of one.
        Ok(_) | Err(BusError::Refused { .. }) => {
            failure(format!("the log has no run {run}: `mesh runs list` shows those it has"))
        }
        Err(error) => error.into(),
    }
}

/// Leaves out of too many tasks those that matter least. Returns how many.
fn leave_out(tasks: &mut Vec<TaskState>, limit: usize) -> usize {
    let left_out = if limit == 0 { 0 } else { tasks.len().saturating_sub(limit) };
    if left_out > 0 {
        // Of tasks that ended well, the last ones tell more than the first.
        tasks.sort_by_key(|task| (rank(task.status), task.has_ended().then_some(Reverse(task.ended))));
        tasks.truncate(limit);
    }
    // What belongs to a task behind it, items by their numbers.
    tasks.sort_by_cached_key(|task| {
        let parts = task.id.parts().map(|part| part.parse::<u64>().map_err(|_| part.to_owned()));
        parts.collect::<Vec<_>>()
    });
    left_out
}

fn print(state: &RunState, left_out: usize) -> anyhow::Result<()> {
    output::line(&format!("{}  {}  {}", state.run, state.target, state.status.as_str()))?;
    if let Some(Parent { run, workflow, task, attempt, .. }) = &state.parent {
        output::line(&format!("for      task '{task}' of run {run} ({workflow}), attempt {attempt}"))?;
    }
    if let Some(Rerun { of, taken_over }) = &state.rerun {
        let tasks: Vec<&str> = taken_over.iter().map(TaskId::as_str).collect();
        let taken = if tasks.is_empty() { "nothing".to_owned() } else { tasks.join(", ") };
        output::line(&format!("rerun    of {of}; taken over: {taken}"))?;
    }
    if let Some(why) = &state.taken_over_lost {
        output::line(&format!("rerun    what it takes over is lost: {why}"))?;
    }
    output::line(&format!("started  {}", exact(state.started)))?;
    if let (Some(ended), Some(duration_ms)) = (state.ended, state.duration_ms) {
        output::line(&format!("ended    {} ({})", exact(ended), text::took(duration_ms)))?;
    }
    output::line(&format!("input    {}", data(Some(&state.input), state.input_lost.as_deref())))?;
    if state.output.is_some() || state.output_lost.is_some() {
        output::line(&format!("output   {}", data(state.output.as_ref(), state.output_lost.as_deref())))?;
    }
    if let Some(error) = &state.error {
        output::line(&format!("error    {}", text::error(&error.code, &error.message)))?;
    }
    if let Some(reason) = &state.reason {
        output::line(&format!("reason   {}", text::one_line(reason)))?;
    }
    if let Some(paused) = &state.paused {
        let before = paused.task.as_ref().map(|task| format!("before task '{task}'"));
        let why = paused.reason.clone().or(before).unwrap_or_else(|| "somebody asked for it".to_owned());
        output::line(&format!("paused   {}", text::one_line(&why)))?;
    }
    if let Some(progress) = &state.progress {
        output::line(&format!("progress {progress}"))?;
    }
    if left_out > 0 || state.events_gone {
        output::line(&format!("tasks    {}", state.counts))?;
    }
    if state.archived {
        let late = match state.late {
            0 => String::new(),
            late => format!("; {} came after that", count(late as u64, "event")),
        };
        output::line(&format!("archived{late}"))?;
    }
    if state.events_gone {
        output::line(EVENTS_GONE)?;
    }
    output::line("")?;
    let rows: Vec<_> = state.tasks.iter().map(row).collect();
    output::table(["TASK", "CAPABILITY", "STATUS", "ATTEMPT", "AGENT", "STARTED", "TOOK", "NOTE"], &rows)?;
    if left_out > 0 {
        output::line(&format!("… and {left_out} more: `--limit 0` shows all"))?;
    }
    Ok(())
}

/// Data of the run as people are shown it.
fn data(value: Option<&Value>, lost: Option<&str>) -> String {
    match (value, lost) {
        (_, Some(error)) => format!("lost: {error}"),
        (value, None) => {
            let text = text::printable(&value.map(Value::to_string).unwrap_or_default());
            let length = text.chars().count();
            if length <= WIDEST {
                return text;
            }
            let begin: String = text.chars().take(WIDEST).collect();
            format!("{begin}… {} more: --output json has all of it", count(length - WIDEST, "character"))
        }
    }
}

fn exact(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// What a task asks for.
fn doer(task: &TaskState) -> String {
    let workflow = || task.workflow.as_ref().map(|workflow| format!("workflow {workflow}"));
    task.capability.as_ref().map(ToString::to_string).or_else(workflow).unwrap_or_default()
}

/// The run that a task has started last.
fn run(task: &TaskState) -> Option<String> {
    task.run.map(|run| format!("run {run}"))
}

fn row(task: &TaskState) -> [String; 8] {
    [
        task.id.to_string(),
        doer(task),
        task.status.to_owned(),
        task.attempt.map(|attempt| attempt.to_string()).unwrap_or_default(),
        task.agent.as_ref().map(ToString::to_string).or_else(|| run(task)).unwrap_or_default(),
        task.started.map(text::clock).unwrap_or_default(),
        task.duration_ms.map(text::took).unwrap_or_default(),
        task.note(),
    ]
}
