use clap::Args;
use mesh_schemas::{Digest, WorkflowName};
use serde::Serialize;

use super::source::{Source, read_all, summary};
use crate::exit::Outcome;
use crate::output::{self, Output};

/// Check definitions without registering them
#[derive(Args)]
pub(crate) struct Validate {
    /// YAML or JSON files, or - for stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<Source>,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Valid {
    file: String,
    name: WorkflowName,
    digest: Digest,
    tasks: usize,
}

impl Validate {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let Some(definitions) = read_all(&self.files)? else { return Ok(Outcome::Error) };
        for (source, definition) in definitions {
            let valid = Valid {
                file: source.to_string(),
                name: definition.name.clone(),
                digest: definition.digest(),
                tasks: definition.size(),
            };
            let line = || Ok(output::line(&format!("{source} is valid: {}", summary(&definition)))?);
            self.output.item(&valid, line)?;
        }
        Ok(Outcome::Done)
    }
}
