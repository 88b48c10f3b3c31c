mod config;
mod input;
mod local;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use clap::{ArgMatches, Args};
use mesh_bus::{Bus, Request, Target, run_of, submit};
use mesh_schemas::{ErrorCode, NameError, RequestId, RunId, TaskId, WorkflowName};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::commands::runs::{Attending, Beginning, Begun, attend, not_taken_up, rejected};
use crate::connection::{self, Connection};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::{self, Output};

use local::Local;

pub(crate) use config::Overrides;
pub(crate) use input::read_input;
pub(crate) use trace::traced;

/// How long to wait for an orchestrator to take up a request: one that runs does so at once.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(2);

/// The two ways to start a run.
const USAGE: &str = "mesh start [OPTIONS] <NAME>
       mesh start [OPTIONS] --local <FILE>... --agent <CAPABILITY=COMMAND>...";

/// Start a run of a workflow
#[derive(Args)]
#[command(override_usage = USAGE)]
pub(crate) struct Start {
    /// The workflow
    #[arg(required_unless_present = "local", conflicts_with = "local", value_parser = workflow)]
    name: Option<WorkflowName>,
    /// Input: JSON, a file of JSON, or - for stdin
    #[arg(long, default_value = "{}")]
    input: String,
    #[command(flatten)]
    overrides: Overrides,
    /// Pause the run before this task, as if the workflow said `pause_before`
    #[arg(long, value_name = "ID", conflicts_with = "local")]
    pause_before: Vec<TaskId>,
    /// Your own id of the request: starting again with the same id is the same run
    #[arg(long, value_name = "KEY", value_parser = request_id, conflicts_with = "local")]
    id: Option<String>,
    /// What you call the whole piece of work; every event of the run carries it
    #[arg(long, value_name = "ID", value_parser = request_id)]
    correlation_id: Option<String>,
    #[command(flatten)]
    stay: Stay,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    local: Local,
}

impl Start {
    /// Refuses what says how to reach a server where none is needed, and what is of use without one only.
    pub(crate) fn check(matches: &ArgMatches) -> Result<(), Failure> {
        let is_local = matches.contains_id("local");
        let message = match connection::typed(matches) {
            Some(flag) if is_local => format!(
                "`mesh start --local` runs a workflow in this process and takes no {flag}: leave it out, or, for a mesh that \
                 is there, `mesh workflow apply FILE` and start the workflow by its name"
            ),
            _ if !is_local && matches.contains_id("agents") => {
                "--agent goes with --local FILE only: for a mesh that is there, `mesh agent exec` or `mesh agent http` \
                 starts an agent"
                    .to_owned()
            }
            _ if !is_local && matches.contains_id("events") => {
                "--events goes with --local FILE only: for a mesh that is there, `mesh events --run @last` shows them"
                    .to_owned()
            }
            _ => return Ok(()),
        };
        Err(Failure::new(ErrorCode::Combination, message))
    }

    /// What to log if nobody says.
    pub(crate) fn log(&self) -> Option<&'static str> {
        self.local.log(self.stay.watch)
    }

    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let Some(name) = self.name else {
            return self
                .local
                .run(
                    connection.namespace(),
                    &self.input,
                    &self.overrides,
                    self.correlation_id,
                    self.stay.watch,
                    self.output,
                )
                .await;
        };
        let input = read_input(&self.input)?;
        let bus: Arc<dyn Bus> = Arc::new(connection.connect().await?);
        let mut request = request(&*bus, Target::Workflow(name), self.id, input);
        request.config = self.overrides.read()?;
        request.pause_before = self.pause_before;
        request.correlation_id = self.correlation_id;
        self.stay.begin(bus, &request, self.output).await
    }
}

/// How long to stay with a run that begins.
#[derive(Args)]
pub(crate) struct Stay {
    /// Wait for the end of the run and print its output; the exit code tells the outcome
    #[arg(long, conflicts_with = "watch")]
    wait: bool,
    /// Show every task until the end of the run, then print its output; the exit code tells the outcome
    #[arg(long)]
    watch: bool,
}

impl Stay {
    /// Submits a request and stays with its run for as long.
    pub(crate) async fn begin(
        &self,
        bus: Arc<dyn Bus>,
        request: &Request,
        output: Output,
    ) -> anyhow::Result<Outcome> {
        let run = run_of(&*bus, request).await?;
        let request = &traced(request, bus.namespace(), &run);
        match self {
            Self { watch: true, .. } => attend(bus, run, Attending::Watch(Some(request)), output).await,
            Self { wait: true, .. } => attend(bus, run, Attending::Wait(request), output).await,
            Self { .. } => start(&*bus, run, request, output).await,
        }
    }
}

/// The name of a workflow. Who gives the file of one is told what to do with it.
fn workflow(text: &str) -> Result<WorkflowName, String> {
    let is_file = [".yaml", ".yml", ".json"].iter().any(|ending| text.ends_with(ending));
    text.parse().map_err(|error: NameError| match is_file {
        true => format!(
            "a workflow is started by its name: `mesh workflow apply {text}` registers the one in a file and tells its name, and \
             `mesh start --local {text}` runs it without a server"
        ),
        false => error.to_string(),
    })
}

/// An id that a request can have, or the piece of work that it is part of: it becomes an attribute of an event.
pub(crate) fn request_id(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("use text that is not empty, on one line".to_owned());
    }
    Ok(text.to_owned())
}

/// A request from this command line, under an id of the caller's or a new one.
pub(crate) fn request(bus: &dyn Bus, target: Target, id: Option<String>, input: Value) -> Request {
    let id = RequestId {
        source: format!("/{}/cli", bus.namespace()),
        id: id.unwrap_or_else(|| Uuid::new_v4().to_string()),
    };
    Request { trace: trace::inherited(), ..Request::new(target, id, input) }
}

/// Submits a request and prints which run it is, unless it is rejected at once.
async fn start(bus: &dyn Bus, run: RunId, request: &Request, output: Output) -> anyhow::Result<Outcome> {
    let beginning = Beginning::before_submit(bus, &run).await?;
    submit(bus, request).await?;
    match beginning.within(TAKEN_UP_WITHIN).await {
        Ok(Begun::Rejected(reasons)) => return Ok(rejected(&reasons)),
        Ok(Begun::Started(_)) => {}
        // The request is stored, so nothing has failed.
        Ok(Begun::NotYet) | Err(_) => {
            eprintln!("{}", not_taken_up(bus).await);
        }
    }
    output.document(&json!({ "run": run }), || Ok(output::line(&run.to_string())?))?;
    Ok(Outcome::Done)
}
