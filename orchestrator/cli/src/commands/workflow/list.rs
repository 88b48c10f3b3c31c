use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use mesh_orchestrator::definitions::{self, Registered};
use mesh_schemas::{Digest, WorkflowName};
use serde::Serialize;

use super::registered::short;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};

/// List the workflows that can be started
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Listed {
    name: WorkflowName,
    /// Null if the definition is missing or was written for a newer mesh.
    tasks: Option<usize>,
    digest: Digest,
    since: DateTime<Utc>,
    older_versions: usize,
}

impl List {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus = connection.connect().await?;
        let all = definitions::all(&bus).await?;
        let listed: Vec<Listed> = all.iter().filter_map(listed).collect();
        self.output.document(&listed, || {
            let rows: Vec<_> = all.iter().filter_map(row).collect();
            output::table(["WORKFLOW", "TASKS", "DIGEST", "SINCE", "OLDER VERSIONS"], &rows)
        })?;
        Ok(Outcome::Done)
    }
}

fn listed(workflow: &Registered) -> Option<Listed> {
    let (digest, since) = workflow.current.clone()?;
    let current = workflow.current_version();
    Some(Listed {
        name: workflow.name.clone(),
        tasks: current.and_then(|version| Some(version.definition.as_ref()?.size())),
        digest,
        since,
        older_versions: workflow.versions.len() - usize::from(current.is_some()),
    })
}

fn row(workflow: &Registered) -> Option<[String; 5]> {
    let listed = listed(workflow)?;
    Some([
        listed.name.to_string(),
        listed.tasks.map_or_else(|| "?".to_owned(), |tasks| tasks.to_string()),
        workflow.current_version().map_or_else(|| "missing".to_owned(), |version| short(version).to_owned()),
        listed.since.to_rfc3339_opts(SecondsFormat::Secs, true),
        listed.older_versions.to_string(),
    ])
}
