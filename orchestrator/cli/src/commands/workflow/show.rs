use clap::Args;
use mesh_schemas::WorkflowName;

use super::registered::definition;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};

/// Show a definition, as YAML unless something else is asked for
#[derive(Args)]
pub(crate) struct Show {
    /// The workflow
    name: WorkflowName,
    /// A version, by its digest or the beginning of one; else the one that new runs follow
    #[arg(long)]
    digest: Option<String>,
    #[command(flatten)]
    output: Output,
}

impl Show {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus = connection.connect().await?;
        let definition = definition(&bus, &self.name, self.digest.as_deref()).await?;
        self.output.document(&definition, || Ok(output::text(&definition.to_yaml())?))?;
        Ok(Outcome::Done)
    }
}
