use anyhow::Context as _;
use clap::Args;
use mesh_orchestrator::definitions::{self, Change};
use mesh_schemas::{Digest, WorkflowName};
use serde::Serialize;

use super::source::{Source, read_all, summary};
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};

/// Register definitions; new runs follow them, runs that have begun go on with theirs
#[derive(Args)]
pub(crate) struct Apply {
    /// YAML or JSON files, or - for stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<Source>,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Applied {
    name: WorkflowName,
    digest: Digest,
    change: &'static str,
}

impl Apply {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        // All are checked before any is registered.
        let Some(definitions) = read_all(&self.files)? else { return Ok(Outcome::Error) };
        let bus = connection.connect().await?;
        for (source, definition) in definitions {
            let applied =
                definitions::apply(&bus, &definition).await.with_context(|| format!("applying {source}"))?;
            let change = match applied.change {
                Change::Created => "created",
                Change::Updated => "updated",
                Change::Unchanged => "unchanged",
            };
            let data = Applied { name: definition.name.clone(), digest: applied.digest, change };
            let line = || Ok(output::line(&format!("{change} {}", summary(&definition)))?);
            self.output.item(&data, line)?;
        }
        Ok(Outcome::Done)
    }
}
