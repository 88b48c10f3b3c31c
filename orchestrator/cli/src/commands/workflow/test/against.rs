use std::str::FromStr;
use std::sync::Arc;

use mesh_bus::{Bus, read_whole_run};
use mesh_core::{Event, Fact};
use mesh_orchestrator::definitions::Known;
use mesh_orchestrator::log;
use mesh_orchestrator::rehearsal::replay::{Change, Recorded, Replayed, replay};
use mesh_orchestrator::rehearsal::{Course, outcome_name};
use mesh_schemas::{Attempt, ErrorCode, RunId, TaskId};
use serde::Serialize;

use crate::commands::runs::{RunReader, ended_runs};
use crate::failure::Failure;
use crate::output;
use crate::text;
use crate::words::count;

/// Which recorded runs are played again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Against {
    /// The newest so many that have ended.
    Last(usize),
}

impl FromStr for Against {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix("last:").and_then(|number| number.parse().ok());
        match number {
            Some(number) if number > 0 => Ok(Self::Last(number)),
            _ => Err("write last:N with a number from 1, such as last:20".to_owned()),
        }
    }
}

/// How a run would go with the changed definition.
#[derive(Serialize)]
pub(super) struct RunReport {
    run: RunId,
    result: Comparison,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<&'static str>,
    /// How it would end; absent if that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    would_be: Option<&'static str>,
    changes: Vec<Told>,
    /// Attempts whose outcome was not recorded: what depends on them cannot be told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unrecorded: Vec<Unrecorded>,
    /// Why it could not be played again.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Comparison {
    /// It would go as it went.
    Same,
    /// It would go another way.
    Differs,
    /// From some point on, it depends on what was never recorded.
    Unknown,
    /// It could not be played again.
    Error,
}

#[derive(Serialize)]
struct Told {
    message: String,
    #[serde(flatten)]
    change: Change,
}

#[derive(Serialize)]
struct Unrecorded {
    task: TaskId,
    attempt: Attempt,
}

impl RunReport {
    pub(super) fn is_same(&self) -> bool {
        self.result == Comparison::Same
    }

    fn new(recorded: &Recorded, replayed: Replayed) -> Self {
        let outcome = |course: &Course| course.outcome.as_ref().map(outcome_name);
        let result = match () {
            () if replayed.is_same() => Comparison::Same,
            () if replayed.is_told() && !replayed.changes.is_empty() => Comparison::Differs,
            () => Comparison::Unknown,
        };
        let changes = replayed.changes.into_iter();
        let unrecorded = replayed.untold.into_iter();
        Self {
            run: replayed.run,
            result,
            was: outcome(recorded.course()),
            would_be: replayed.course.as_ref().map_or(Some("rejected"), outcome),
            changes: changes.map(|change| Told { message: change.to_string(), change }).collect(),
            unrecorded: unrecorded.map(|(task, attempt)| Unrecorded { task, attempt }).collect(),
            error: None,
        }
    }

    fn error(run: RunId, error: &anyhow::Error) -> Self {
        Self {
            run,
            result: Comparison::Error,
            was: None,
            would_be: None,
            changes: Vec::new(),
            unrecorded: Vec::new(),
            error: Some(format!("{error:#}")),
        }
    }

    /// What there is to say about it.
    fn notes(&self) -> Vec<String> {
        let changes = self.changes.iter().map(|change| change.message.clone());
        let unrecorded = self.unrecorded.iter().map(|Unrecorded { task, attempt }| {
            format!(
                "attempt {attempt} of task '{task}' has no recorded outcome: how the run goes on from there cannot be told"
            )
        });
        changes.chain(unrecorded).chain(self.error.clone()).collect()
    }
}

/// Plays recorded runs of the definition's workflow again.
pub(super) async fn test(
    bus: Arc<dyn Bus>,
    known: &Known,
    against: Against,
) -> anyhow::Result<Vec<RunReport>> {
    let Against::Last(number) = against;
    let workflow = &known.plan.definition.name;
    let mut runs = ended_runs(&*bus, workflow).await?;
    if runs.is_empty() {
        let message = format!(
            "no run of '{workflow}' has ended yet, so there is nothing to play again: `mesh runs list --workflow {workflow}` \
             shows its runs"
        );
        return Err(Failure::new(ErrorCode::UnknownRun, message).into());
    }
    if runs.len() < number {
        eprintln!("'{workflow}' has only {} that ended", count(runs.len() as u64, "run"));
    }
    runs.drain(..runs.len().saturating_sub(number));
    let reader = RunReader::new(Arc::clone(&bus));
    let mut reports = Vec::new();
    for run in runs {
        // One that cannot be read keeps nobody from knowing of the others.
        reports.push(
            one(&*bus, &reader, known, run).await.unwrap_or_else(|error| RunReport::error(run, &error)),
        );
    }
    Ok(reports)
}

async fn one(bus: &dyn Bus, reader: &RunReader, known: &Known, run: RunId) -> anyhow::Result<RunReport> {
    let log = log::whole(bus, read_whole_run(bus, &run).await?.events).await?;
    let namespace = bus.namespace();
    let mut events = log.iter().filter_map(|stored| Event::read(namespace, stored).ok());
    let started = events.find_map(|event| match event.fact {
        Fact::Started(started) => Some(started),
        _ => None,
    });
    let started = started.ok_or_else(|| {
        let message = format!("the beginning of run {run} is not kept any more");
        Failure::new(ErrorCode::UnknownRun, message)
    })?;
    let followed = reader.followed(run, &started).await?;
    let recorded = Recorded::read(namespace, run, &log, &followed.plan)?;
    let replayed = replay(&recorded, known)?;
    Ok(RunReport::new(&recorded, replayed))
}

/// Prints a line for each run, and what there is to say about those that would go another way.
pub(super) fn print(runs: &[RunReport]) -> anyhow::Result<()> {
    output::table(["RUN", "RESULT", "WAS", "WOULD BE"], &runs.iter().map(row).collect::<Vec<_>>())?;
    for run in runs.iter().filter(|run| !run.is_same()) {
        output::line(&format!("\n{}", run.run))?;
        for note in run.notes() {
            output::line(&format!("  {}", text::one_line(&note)))?;
        }
    }
    let number = |result| runs.iter().filter(|run| run.result == result).count();
    let results = [
        (Comparison::Same, "same"),
        (Comparison::Differs, "another way"),
        (Comparison::Unknown, "not known"),
        (Comparison::Error, "not readable"),
    ];
    let results = results.map(|(result, words)| (number(result), words)).into_iter();
    let words: Vec<String> = results
        .filter(|(number, _)| *number > 0)
        .map(|(number, words)| format!("{number} {words}"))
        .collect();
    Ok(output::line(&format!("\n{}: {}", count(runs.len() as u64, "run"), words.join(", ")))?)
}

fn row(run: &RunReport) -> [String; 4] {
    let result = match run.result {
        Comparison::Same => "same",
        Comparison::Differs => "differs",
        Comparison::Unknown => "unknown",
        Comparison::Error => "error",
    };
    let ended = |outcome: Option<&str>| outcome.unwrap_or("?").to_owned();
    [run.run.to_string(), result.to_owned(), ended(run.was), ended(run.would_be)]
}
