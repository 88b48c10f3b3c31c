use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;
use clap::Args;
use mesh_orchestrator::definitions;
use mesh_schemas::{ErrorCode, WorkflowName};
use serde::Serialize;

use super::registered::not_registered;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::{self, Output};

/// Take workflows away: requests for them are rejected, runs that have begun go on
#[derive(Args)]
pub(crate) struct Delete {
    /// The workflows
    #[arg(required = true, value_name = "NAME")]
    names: Vec<WorkflowName>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Deleted<'a> {
    name: &'a WorkflowName,
    change: &'static str,
}

impl Delete {
    pub(super) async fn run(mut self, connection: &Connection) -> anyhow::Result<Outcome> {
        self.names.sort();
        self.names.dedup();
        let bus = connection.connect().await?;
        // All must be there before any goes.
        let all = definitions::all(&bus).await?;
        for name in &self.names {
            if !all.iter().any(|workflow| workflow.name == *name && workflow.current.is_some()) {
                return Err(not_registered(name, &all));
            }
        }
        if !self.yes && !agreed(&self.names)? {
            eprintln!("nothing was deleted");
            return Ok(Outcome::Error);
        }
        for name in &self.names {
            // Somebody else may have been quicker: it is gone either way.
            definitions::delete(&bus, name).await?;
            let line = || Ok(output::line(&format!("deleted {name}"))?);
            self.output.item(&Deleted { name, change: "deleted" }, line)?;
        }
        Ok(Outcome::Done)
    }
}

fn agreed(names: &[WorkflowName]) -> anyhow::Result<bool> {
    let names = names.iter().map(WorkflowName::as_str).collect::<Vec<_>>().join(", ");
    if !std::io::stdin().is_terminal() {
        let message = format!("deleting {names} needs --yes, as there is nobody to ask on a terminal");
        return Err(Failure::new(ErrorCode::NotConfirmed, message).into());
    }
    eprint!("Delete {names}? New requests will be rejected; runs that have begun go on. [y/N] ");
    std::io::stderr().flush().context("asking")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("reading the answer")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
