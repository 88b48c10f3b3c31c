use clap::Args;
use futures::StreamExt;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, From};
use mesh_schemas::{Decoded, Envelope, RunId, StoredMessage, Subject};
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};

/// Show events, in the order of the log
#[derive(Args)]
pub(crate) struct Events {
    /// Stay and show events as they come
    #[arg(long, short)]
    follow: bool,
    /// Only events of this run
    #[arg(long)]
    run: Option<RunId>,
    #[command(flatten)]
    output: Output,
}

impl Events {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus = connection.connect().await?;
        let namespace = bus.namespace();
        let filters = match self.run {
            Some(run) => vec![format!("{namespace}.*.*.*.*.{run}"), format!("{namespace}.*.*.*.*.{run}.>")],
            None => vec![format!("{namespace}.>")],
        };
        let mut events = bus.follow(Stream::Events, filters, From::Begin).await?;
        while let Some(event) = events.next().await {
            match event? {
                Some(stored) => self.print(namespace, &stored)?,
                None if self.follow => {}
                None => break,
            }
        }
        Ok(Outcome::Done)
    }

    fn print(&self, namespace: &mesh_schemas::Namespace, stored: &StoredMessage) -> anyhow::Result<()> {
        let decoded = Envelope::decode(&stored.message.headers, &stored.message.payload);
        let event = match &decoded {
            Ok(Decoded::Event(event)) => serde_json::to_value(event)?,
            Ok(Decoded::Bare(value)) => json!({ "id": stored.message.subject, "data": value }),
            Err(error) => json!({ "id": stored.message.subject, "error": error.to_string() }),
        };
        self.output.item(&event, || Ok(output::line(&describe(namespace, stored, decoded.as_ref().ok()))?))
    }
}

/// One line: when, what, which run, and the rest of the subject.
fn describe(namespace: &mesh_schemas::Namespace, stored: &StoredMessage, event: Option<&Decoded>) -> String {
    let time = stored.time.format("%H:%M:%S%.3f");
    let Ok(subject) = Subject::parse(namespace, &stored.message.subject) else {
        return format!("{time}  {:<20}  {}", "?", stored.message.subject);
    };
    let run = subject.run().map(|run| run.to_string()).unwrap_or_default();
    let detail = match &subject {
        Subject::Task { key, .. } => format!("{} #{} by {}", key.task, key.attempt, agent(event)),
        Subject::Workflow { workflow, .. } => {
            workflow.as_ref().map_or_else(|| "(one task)".to_owned(), ToString::to_string)
        }
        Subject::Signalled { signal, .. } => signal.to_string(),
        Subject::TimerFired { timer, .. } => timer.to_string(),
        _ => String::new(),
    };
    format!("{time}  {:<20}  {run}  {detail}{}", subject.event_type(), error(event))
}

fn agent(event: Option<&Decoded>) -> &str {
    event.and_then(|event| event.data()["agent"].as_str()).unwrap_or("the orchestrator")
}

fn error(event: Option<&Decoded>) -> String {
    match event.map(|event| &event.data()["error"]) {
        Some(Value::Object(error)) => {
            let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
            format!("  {}: {}", text("code"), text("message"))
        }
        _ => String::new(),
    }
}
