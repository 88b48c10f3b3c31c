use std::convert::Infallible;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context as _;
use mesh_bus::Bus;
use mesh_schemas::{ErrorCode, RunId};

use crate::commands::events;
use crate::failure::Failure;
use crate::output::{self, Output};

/// Where the events of a run go: a file, or stdout for `-`.
#[derive(Debug, Clone)]
pub(super) enum Destination {
    Stdout,
    File(PathBuf),
}

impl FromStr for Destination {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::Stdout } else { Self::File(text.into()) })
    }
}

/// What the events of a run are written to.
pub(super) enum Record {
    Stdout,
    File(PathBuf, BufWriter<File>),
}

impl Record {
    /// Opens the file before anything runs: a run whose events are wanted is not to be done in vain.
    pub(super) fn open(destination: Destination) -> anyhow::Result<Self> {
        match destination {
            Destination::Stdout => Ok(Self::Stdout),
            Destination::File(path) => {
                let file = File::create(&path).with_context(|| unwritable(&path))?;
                Ok(Self::File(path, BufWriter::new(file)))
            }
        }
    }

    pub(super) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout)
    }

    /// Writes every event of a run that the bus has.
    pub(super) async fn write(&mut self, bus: &dyn Bus, run: RunId, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Stdout => events::of_run(bus, run, output, |event| Ok(output::text(event)?)).await,
            Self::File(path, file) => {
                let write = |event: &str| file.write_all(event.as_bytes()).with_context(|| unwritable(path));
                events::of_run(bus, run, output, write).await?;
                file.flush().with_context(|| unwritable(path))
            }
        }
    }
}

fn unwritable(path: &std::path::Path) -> Failure {
    Failure::new(ErrorCode::Unwritable, format!("cannot write the events to {}", path.display()))
}
