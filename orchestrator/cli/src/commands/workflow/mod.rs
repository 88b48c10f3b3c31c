use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use mesh_orchestrator::definitions;
use mesh_schemas::Definition;
use mesh_schemas::document::Format;

use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output;

#[derive(Subcommand)]
pub(crate) enum Workflow {
    /// Check definitions without registering them
    Validate {
        /// YAML or JSON files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Register definitions; new runs follow them, runs that have begun go on with theirs
    Apply {
        /// YAML or JSON files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

impl Workflow {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        match self {
            Self::Validate { files } => {
                let Some(definitions) = read_all(&files)? else { return Ok(Outcome::Error) };
                for (file, definition) in definitions {
                    output::line(&format!("{} is valid: {}", file.display(), summary(&definition)))?;
                }
            }
            Self::Apply { files } => {
                // All are checked before any is registered.
                let Some(definitions) = read_all(&files)? else { return Ok(Outcome::Error) };
                let bus = connection.connect().await?;
                for (file, definition) in definitions {
                    definitions::apply(&bus, &definition)
                        .await
                        .with_context(|| format!("applying {}", file.display()))?;
                    output::line(&format!("applied {}", summary(&definition)))?;
                }
            }
        }
        Ok(Outcome::Done)
    }
}

fn summary(definition: &Definition) -> String {
    let tasks = definition.tasks.len();
    let plural = if tasks == 1 { "" } else { "s" };
    format!("{} ({tasks} task{plural}, {})", definition.name, definition.digest())
}

/// Reads every file; `None` if one has problems, which are then on stderr.
fn read_all(files: &[PathBuf]) -> anyhow::Result<Option<Vec<(&Path, Definition)>>> {
    let mut definitions = Vec::new();
    let mut sound = true;
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        match definitions::check(&text, Format::of(file)) {
            Ok(definition) => definitions.push((file.as_path(), definition)),
            Err(problems) => {
                sound = false;
                for problem in problems.0 {
                    let colon = if problem.position.is_some() { ":" } else { ": " };
                    eprintln!("{}{colon}{problem}", file.display());
                }
            }
        }
    }
    Ok(sound.then_some(definitions))
}
