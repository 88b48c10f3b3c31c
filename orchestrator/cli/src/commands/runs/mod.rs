use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Subcommand;
use futures::StreamExt;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, From};
use mesh_core::{Event, Fact, replay};
use mesh_orchestrator::Definitions;
use mesh_schemas::{Decoded, Envelope, RunId, StoredMessage, Subject, WorkflowName, WorkflowVerb};
use serde::Serialize;
use serde_json::Value;

use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};
use crate::select::RunSelector;

#[derive(Subcommand)]
pub(crate) enum Runs {
    /// List runs, oldest first
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Show one run: how it stands, its tasks, its output or error
    Show {
        /// The run: its id, the beginning of it, or @last
        run: RunSelector,
        #[command(flatten)]
        output: Output,
    },
}

impl Runs {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus: Arc<dyn Bus> = Arc::new(connection.connect().await?);
        match self {
            Self::List { output } => list(&*bus, output).await?,
            Self::Show { run, output } => {
                let run = run.resolve(&*bus).await?;
                show(bus, run, output).await?;
            }
        }
        Ok(Outcome::Done)
    }
}

/// A run, as it is listed.
#[derive(Serialize)]
struct Summary {
    run: RunId,
    /// `-` for a directly requested task.
    workflow: String,
    status: &'static str,
    started: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<DateTime<Utc>>,
    /// The output, error or reason of an ended run.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
}

impl Summary {
    fn new(run: RunId, workflow: Option<&WorkflowName>, started: DateTime<Utc>) -> Self {
        let workflow = workflow.map_or("-", WorkflowName::as_str).to_owned();
        Self { run, workflow, status: "running", started, ended: None, result: None }
    }

    /// Notes an event of the run's life.
    fn note(&mut self, verb: WorkflowVerb, stored: &StoredMessage) {
        let (status, member) = match verb {
            WorkflowVerb::Completed => ("completed", "output"),
            WorkflowVerb::Failed => ("failed", "error"),
            WorkflowVerb::Cancelled => ("cancelled", "reason"),
            WorkflowVerb::Started | WorkflowVerb::Paused | WorkflowVerb::Resumed => return,
        };
        self.status = status;
        self.ended = Some(stored.time);
        self.result = Envelope::decode(&stored.message.headers, &stored.message.payload)
            .ok()
            .and_then(|event: Decoded| event.data().get(member).cloned());
    }
}

async fn list(bus: &dyn Bus, output: Output) -> anyhow::Result<()> {
    let filter = format!("{}.workflow.*.*.-.*.*", bus.namespace());
    let mut events = bus.follow(Stream::Events, vec![filter], From::Begin).await?;
    let mut runs: BTreeMap<RunId, Summary> = BTreeMap::new();
    while let Some(event) = events.next().await {
        let Some(stored) = event? else { break };
        if let Ok(Subject::Workflow { verb, workflow, run }) =
            Subject::parse(bus.namespace(), &stored.message.subject)
        {
            runs.entry(run)
                .or_insert_with(|| Summary::new(run, workflow.as_ref(), stored.time))
                .note(verb, &stored);
        }
    }
    let mut runs: Vec<Summary> = runs.into_values().collect();
    runs.sort_by_key(|run| run.started);
    output.document(&runs, || {
        let rows: Vec<_> = runs.iter().map(row).collect();
        output::table(["RUN", "WORKFLOW", "STATUS", "STARTED", "TOOK"], &rows)
    })
}

fn row(run: &Summary) -> [String; 5] {
    let took = run.ended.map(|ended| format!("{} ms", (ended - run.started).num_milliseconds()));
    [
        run.run.to_string(),
        run.workflow.clone(),
        run.status.to_owned(),
        run.started.to_rfc3339_opts(SecondsFormat::Secs, true),
        took.unwrap_or_default(),
    ]
}

/// A run, as it is shown.
#[derive(Serialize)]
struct Details {
    #[serde(flatten)]
    summary: Summary,
    input: Value,
    tasks: Vec<mesh_core::TaskView>,
}

async fn show(bus: Arc<dyn Bus>, run: RunId, output: Output) -> anyhow::Result<()> {
    let log = bus.read_run(&run).await?;
    let read = |stored: &StoredMessage| Event::read(bus.namespace(), stored).ok();
    let events: Vec<Event> = log.events.iter().filter_map(read).collect();
    let Some((started, at)) = events.iter().find_map(|event| match &event.fact {
        Fact::Started(started) => Some((started, event.time)),
        _ => None,
    }) else {
        bail!("the log has no run {run}: `mesh runs list` shows those it has");
    };
    let mut summary = Summary::new(run, started.workflow.as_ref(), at);
    for stored in &log.events {
        if let Ok(Subject::Workflow { verb, .. }) = Subject::parse(bus.namespace(), &stored.message.subject) {
            summary.note(verb, stored);
        }
    }
    let definitions = Definitions::new(Arc::clone(&bus));
    let known = match (&started.workflow, &started.data.capability) {
        (Some(name), _) => definitions.get(name, &started.data.digest).await?,
        (None, Some(capability)) => definitions.single_task(capability),
        (None, None) => None,
    };
    let known = known.with_context(|| format!("the definition {} is not there", started.data.digest))?;
    let (state, _) = replay(&known.plan, &events).context("the run has no beginning")?;
    let details = Details { summary, input: started.data.input.clone(), tasks: state.tasks() };
    output.document(&details, || print(&details))
}

fn print(details: &Details) -> anyhow::Result<()> {
    let summary = &details.summary;
    output::line(&format!("{}  {}  {}", summary.run, summary.workflow, summary.status))?;
    output::line(&format!("started  {}", summary.started.to_rfc3339_opts(SecondsFormat::Millis, true)))?;
    if let Some(ended) = summary.ended {
        let took = (ended - summary.started).num_milliseconds();
        output::line(&format!(
            "ended    {} ({took} ms)",
            ended.to_rfc3339_opts(SecondsFormat::Millis, true)
        ))?;
    }
    output::line(&format!("input    {}", details.input))?;
    if let Some(result) = &summary.result {
        output::line(&format!("result   {result}"))?;
    }
    output::line("")?;
    let rows: Vec<_> = details.tasks.iter().map(task_row).collect();
    output::table(["TASK", "AGENT", "STATUS", "ATTEMPT"], &rows)?;
    Ok(())
}

fn task_row(task: &mesh_core::TaskView) -> [String; 4] {
    let attempt = task.attempt.map(|attempt| attempt.to_string()).unwrap_or_default();
    [task.id.to_string(), task.agent.to_string(), task.status.to_owned(), attempt]
}
