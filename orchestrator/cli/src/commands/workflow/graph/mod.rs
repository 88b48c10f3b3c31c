mod dot;
mod mermaid;
mod text;

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};
use mesh_schemas::definition::{OnFailure, OnSkipped, Task};
use mesh_schemas::{Definition, ErrorCode, TaskId, WorkflowName};

use super::registered::definition;
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

/// The tasks by steps: each in the first step in which all that it needs have gone before.
fn steps(definition: &Definition) -> Vec<Vec<(&TaskId, &Task)>> {
    let tasks: Vec<(&TaskId, &Task)> = definition.tasks.iter().collect();
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

/// What is special about a task.
fn notes(task: &Task) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(when) = &task.when {
        notes.push(format!("when {}", condition(when)));
    }
    if task.on_skipped == OnSkipped::Run {
        notes.push("on_skipped: run".to_owned());
    }
    if task.on_failure == OnFailure::Continue {
        notes.push("on_failure: continue".to_owned());
    }
    notes
}

/// A condition in one line, without the `${…}` that may stand around it.
fn condition(when: &str) -> String {
    let trimmed = when.trim();
    let inner = trimmed.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(trimmed);
    inner.split_whitespace().collect::<Vec<_>>().join(" ")
}
