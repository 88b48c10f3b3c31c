use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use futures::TryStreamExt as _;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, From, History, RunOutcome, without_large};
use mesh_schemas::payload::{RunError, WorkflowStarted};
use mesh_schemas::{Namespace, PauseVerb, RunId, StoredMessage, Subject, WorkflowName, WorkflowVerb};
use serde::Serialize;

use super::state::{RunStatus, RunTarget, data, ended};
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::follow::present;
use crate::output::{self, Output};
use crate::select::Since;
use crate::text;

/// List runs, the newest last
#[derive(Args)]
pub(crate) struct List {
    /// Only runs of this workflow
    #[arg(long, value_name = "NAME")]
    workflow: Option<WorkflowName>,
    /// Only runs that stand so
    #[arg(long, value_enum)]
    status: Option<RunStatus>,
    /// Only runs that began since then: 10s, 5m or 24h ago, or at a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// At most so many, the newest of them
    #[arg(long, value_name = "N", default_value_t = 50, conflicts_with = "all")]
    limit: usize,
    /// All of them, however many
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: Output,
}

impl List {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus = connection.connect().await?;
        let from = Since::begin(self.since, bus.now());
        let mut runs = summaries(&bus, self.workflow.as_ref(), from).await?;
        let is_wanted = |run: &Summary| self.status.is_none_or(|status| run.status == status);
        runs.retain(is_wanted);
        if self.all || runs.len() < self.limit {
            add_archived(&bus, &mut runs, self.workflow.as_ref(), self.status, self.since).await?;
            runs.retain(is_wanted);
        }
        let found = runs.len();
        if !self.all {
            runs.drain(..found.saturating_sub(self.limit));
        }
        self.output.document(&runs, || {
            let rows: Vec<_> = runs.iter().map(row).collect();
            output::table(["RUN", "WORKFLOW", "STATUS", "STARTED", "TOOK"], &rows)
        })?;
        if runs.len() < found {
            eprintln!("these are the newest {} of {found} runs: --limit N or --all shows more", runs.len());
        }
        Ok(Outcome::Done)
    }
}

/// A run, as it is listed.
#[derive(Serialize)]
struct Summary {
    run: RunId,
    #[serde(flatten)]
    target: RunTarget,
    status: RunStatus,
    started: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RunError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Summary {
    fn new(
        namespace: &Namespace,
        run: RunId,
        workflow: Option<WorkflowName>,
        started: &StoredMessage,
    ) -> Self {
        let capability = if workflow.is_some() {
            None
        } else {
            let started = data::<WorkflowStarted>(&without_large(namespace, started));
            started.and_then(|started| started.capability)
        };
        Self {
            run,
            target: RunTarget { workflow, capability },
            status: RunStatus::Running,
            started: started.time,
            ended: None,
            duration_ms: None,
            error: None,
            reason: None,
        }
    }

    fn pause(&mut self, verb: PauseVerb) {
        if self.ended.is_none() {
            self.status = match verb {
                PauseVerb::Paused => RunStatus::Paused,
                PauseVerb::Resumed => RunStatus::Running,
            };
        }
    }

    fn end(&mut self, at: DateTime<Utc>, outcome: RunOutcome) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(at);
        self.duration_ms = Some(text::millis(self.started, at));
        match outcome {
            RunOutcome::Completed(_) => self.status = RunStatus::Completed,
            RunOutcome::Failed(failed) => (self.status, self.error) = (RunStatus::Failed, Some(failed.error)),
            RunOutcome::Cancelled(cancelled) => {
                (self.status, self.reason) = (RunStatus::Cancelled, cancelled.reason);
            }
            RunOutcome::Rejected(_) => {}
        }
    }
}

/// Every run that began in a part of the log, in the order of the log.
async fn summaries(
    bus: &dyn Bus,
    workflow: Option<&WorkflowName>,
    from: From,
) -> anyhow::Result<Vec<Summary>> {
    let namespace = bus.namespace();
    let of = workflow.map_or("*", WorkflowName::as_str);
    let pauses = PauseVerb::ALL.iter().map(|verb| format!("{namespace}.workflow.{verb}.{of}.-.*.*.*"));
    let filters = std::iter::once(format!("{namespace}.workflow.*.{of}.-.*.*")).chain(pauses);
    let mut events = present(bus, Stream::Events, filters.collect(), from).await?;
    let mut runs: Vec<Summary> = Vec::new();
    let mut places: BTreeMap<RunId, usize> = BTreeMap::new();
    while let Some(stored) = events.try_next().await? {
        let (verb, workflow, run) = match Subject::parse(namespace, &stored.message.subject) {
            Ok(Subject::Workflow { verb, workflow, run }) => (verb, workflow, run),
            Ok(Subject::Pause { verb, run, .. }) => {
                if let Some(run) = places.get(&run).map(|place| &mut runs[*place]) {
                    run.pause(verb);
                }
                continue;
            }
            _ => continue,
        };
        match places.get(&run) {
            None if verb == WorkflowVerb::Started => {
                places.insert(run, runs.len());
                runs.push(Summary::new(namespace, run, workflow, &stored));
            }
            // It began before the part that is read.
            None => {}
            Some(place) => {
                if let Some(outcome) = ended(namespace, &stored) {
                    runs[*place].end(stored.time, outcome);
                }
            }
        }
    }
    Ok(runs)
}

/// Adds the runs of which nothing is left in the log, and puts all in the order in which they began.
async fn add_archived(
    bus: &dyn Bus,
    runs: &mut Vec<Summary>,
    workflow: Option<&WorkflowName>,
    status: Option<RunStatus>,
    since: Option<Since>,
) -> anyhow::Result<()> {
    if status.is_some_and(RunStatus::is_open) {
        return Ok(());
    }
    let namespace = bus.namespace();
    let since = since.map(|since| since.time(bus.now()));
    // The outcome in the subject is named as the status.
    let (workflow, outcome) =
        (workflow.map_or("*", WorkflowName::as_str), status.map_or("*", RunStatus::as_str));
    let filter = format!("{namespace}.history.{workflow}.{outcome}.*.*");
    // A run is archived after it has begun.
    let from = since.map_or(From::Begin, From::Time);
    let mut histories = present(bus, Stream::History, vec![filter], from).await?;
    let mut known: BTreeSet<RunId> = runs.iter().map(|run| run.run).collect();
    let mut archived: BTreeMap<RunId, Summary> = BTreeMap::new();
    while let Some(stored) = histories.try_next().await? {
        for event in History::read(namespace, &[stored]).of(Stream::Events) {
            let Ok(Subject::Workflow { verb, workflow, run }) =
                Subject::parse(namespace, &event.message.subject)
            else {
                continue;
            };
            if verb == WorkflowVerb::Started && known.insert(run) {
                archived.insert(run, Summary::new(namespace, run, workflow, event));
            } else if let (Some(run), Some(outcome)) = (archived.get_mut(&run), ended(namespace, event)) {
                run.end(event.time, outcome);
            }
        }
    }
    let archived = archived.into_values().filter(|run| since.is_none_or(|since| run.started >= since));
    runs.extend(archived);
    runs.sort_by_key(|run| run.started);
    Ok(())
}

/// The runs of a workflow that have ended, the newest last.
pub(crate) async fn ended_runs(bus: &dyn Bus, workflow: &WorkflowName) -> anyhow::Result<Vec<RunId>> {
    let mut runs = summaries(bus, Some(workflow), From::Begin).await?;
    add_archived(bus, &mut runs, Some(workflow), None, None).await?;
    Ok(runs.into_iter().filter(|run| run.ended.is_some()).map(|run| run.run).collect())
}

fn row(run: &Summary) -> [String; 5] {
    [
        run.run.to_string(),
        run.target.to_string(),
        run.status.as_str().to_owned(),
        run.started.to_rfc3339_opts(SecondsFormat::Secs, true),
        run.duration_ms.map(text::took).unwrap_or_default(),
    ]
}
