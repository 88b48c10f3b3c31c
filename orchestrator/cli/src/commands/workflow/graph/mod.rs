mod dot;
mod mermaid;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, ValueEnum};
use mesh_schemas::definition::{
    Body, Case, Join, Merge, MergeBy, OnFailure, OnMax, OnSkipped, Planner, Task,
};
use mesh_schemas::{ErrorCode, TaskId, WorkflowName};

use super::registered::{SHORT, definition};
use super::source::Source;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output;

/// Show which tasks need which, and on what condition
#[derive(Args)]
pub(crate) struct Graph {
    /// A workflow or, with a dot or a slash in it, a file of a definition, for which no server is needed; - for stdin
    #[arg(value_name = "NAME|FILE")]
    what: String,
    /// How to draw it
    #[arg(long, short, value_enum, default_value_t)]
    format: Format,
    /// A version of a registered workflow, by its digest or the beginning of one
    #[arg(long)]
    digest: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    /// A list by steps, for terminals
    #[default]
    Text,
    /// A flowchart for Markdown: <https://mermaid.js.org>
    Mermaid,
    /// For Graphviz: <https://graphviz.org>
    Dot,
}

impl Graph {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let definition = match (self.what.parse::<WorkflowName>(), &self.digest) {
            // `-` is a name like any other by its letters.
            (Ok(name), _) if name.as_str() != "-" => {
                definition(&connection.connect().await?, &name, self.digest.as_deref()).await?
            }
            (_, Some(_)) => {
                let message = format!(
                    "--digest chooses a version of a registered workflow, and {} is a file: leave it out, or give the \
                     workflow's name",
                    self.what
                );
                return Err(Failure::new(ErrorCode::Combination, message).into());
            }
            _ => {
                let source: Source = self.what.parse()?;
                let Some(definition) = source.read()? else { return Ok(Outcome::Error) };
                definition
            }
        };
        output::text(&match self.format {
            Format::Text => text::draw(&definition),
            Format::Mermaid => mermaid::draw(&definition),
            Format::Dot => dot::draw(&definition),
        })?;
        Ok(Outcome::Done)
    }
}

/// The tasks of a block by steps: each in the first step in which all that it needs have gone before.
fn steps(block: &BTreeMap<TaskId, Task>) -> Vec<Vec<(&TaskId, &Task)>> {
    let tasks: Vec<(&TaskId, &Task)> = block.iter().collect();
    let place = |id: &TaskId| tasks.binary_search_by_key(&id, |(id, _)| *id).ok();
    let needs = |task: &Task| task.needs.iter().filter_map(place).collect::<BTreeSet<usize>>();
    let mut dependents = vec![Vec::new(); tasks.len()];
    let mut open = vec![0; tasks.len()];
    for (at, (_, task)) in tasks.iter().enumerate() {
        for need in needs(task) {
            dependents[need].push(at);
            open[at] += 1;
        }
    }
    // Definitions with cycles are refused when they are read. Should one come all the same, it is not drawn.
    let mut now: Vec<usize> = (0..tasks.len()).filter(|at| open[*at] == 0).collect();
    let mut steps = Vec::new();
    while !now.is_empty() {
        let mut next = Vec::new();
        for &dependent in now.iter().flat_map(|at| &dependents[*at]) {
            open[dependent] -= 1;
            if open[dependent] == 0 {
                next.push(dependent);
            }
        }
        next.sort_unstable();
        steps.push(now.into_iter().map(|at| tasks[at]).collect());
        now = next;
    }
    steps
}

/// What a body is made of, if it is not work.
enum Parts<'a> {
    Group(&'a BTreeMap<TaskId, Task>),
    Cases(&'a [Case]),
}

fn parts(body: &Body) -> Option<Parts<'_>> {
    let cases = || body.switch.as_deref().map(Parts::Cases);
    body.tasks.as_ref().map(Parts::Group).or_else(cases)
}

/// What does it: the capability of an agent, the workflow that it starts a run of, or what it is.
fn doer(body: &Body) -> String {
    if let Some(workflow) = &body.workflow {
        let version = body.version.as_ref().and_then(|version| version.hex().get(..SHORT));
        let version = version.map_or_else(String::new, |version| format!("@{version}"));
        let apart = if body.wait == Some(false) { ", not waited for" } else { "" };
        return format!("workflow {workflow}{version}{apart}");
    }
    match (&body.agent, parts(body)) {
        (Some(agent), _) => agent.to_string(),
        (None, Some(Parts::Cases(_))) => "(switch)".to_owned(),
        (None, _) => body.merge.as_ref().map_or_else(|| "(group)".to_owned(), merged),
    }
}

fn merged(merge: &Merge) -> String {
    let how = match merge.by {
        MergeBy::Quality => "by quality",
        MergeBy::Collect => "collect",
        MergeBy::First => "first",
        MergeBy::Object => "object",
    };
    format!("(merge {how})")
}

/// What is special about a task.
fn notes(task: &Task) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(limits) = task.body.plan.as_ref().and_then(Planner::limits) {
        notes.push(format!("plans up to {} tasks", limits.max_tasks));
    }
    if let Some(foreach) = &task.foreach {
        let most = foreach.max_parallel.map_or_else(String::new, |most| format!(", {most} at a time"));
        let items = foreach.items.as_str().map_or_else(|| "a list".to_owned(), condition);
        notes.push(format!("foreach {items}{most}"));
    }
    if let Some(repeat) = &task.repeat {
        let on_max = if repeat.on_max == OnMax::Continue { ", then goes on" } else { "" };
        notes.push(format!(
            "repeat until {}, {} times at most{on_max}",
            condition(&repeat.until),
            repeat.max
        ));
    }
    match task.join {
        Join::All => {}
        Join::Any => notes.push("join any".to_owned()),
        Join::Quorum(quorum) => notes.push(format!("join {}", quorum.quorum)),
    }
    if let Some(when) = &task.when {
        notes.push(format!("when {}", condition(when)));
    }
    if task.on_skipped == OnSkipped::Run {
        notes.push("on_skipped: run".to_owned());
    }
    match &task.on_failure {
        OnFailure::Fail => {}
        OnFailure::Continue => notes.push("on_failure: continue".to_owned()),
        OnFailure::Task(rescuer) => notes.push(format!("on_failure: {rescuer}")),
    }
    notes
}

/// When a case is done.
fn case_note(case: &Case) -> String {
    case.when.as_deref().map_or_else(|| "otherwise".to_owned(), |when| format!("when {}", condition(when)))
}

/// A condition in one line, without the `${…}` that may stand around it.
fn condition(when: &str) -> String {
    let trimmed = when.trim();
    let inner = trimmed.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(trimmed);
    inner.split_whitespace().collect::<Vec<_>>().join(" ")
}
