use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use mesh_schemas::ErrorCode;

use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output;

/// Write the JSON Schemas, the AsyncAPI document, and the lists of errors and metrics
#[derive(Args)]
pub(crate) struct Schema {
    /// Folder to write to
    #[arg(long, default_value = "schemas")]
    out: PathBuf,
    /// Write nothing; fail if a file differs from what would be written
    #[arg(long)]
    check: bool,
}

impl Schema {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        let mut differing = 0;
        let metrics = ("metrics.md".to_owned(), mesh_telemetry::metrics::document());
        for (name, content) in mesh_schemas::generate::files().into_iter().chain([metrics]) {
            let path = self.out.join(name);
            if std::fs::read_to_string(&path).is_ok_and(|present| present == content) {
                continue;
            }
            differing += 1;
            if self.check {
                eprintln!("{} is not up to date", path.display());
                continue;
            }
            let unwritable =
                || Failure::new(ErrorCode::Unwritable, format!("cannot write {}", path.display()));
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).with_context(unwritable)?;
            }
            std::fs::write(&path, content).with_context(unwritable)?;
            output::line(&format!("wrote {}", path.display()))?;
        }
        if self.check && differing > 0 {
            eprintln!("{differing} files differ from the types: run `make schemas` and commit the result");
            return Ok(Outcome::Error);
        }
        Ok(Outcome::Done)
    }
}
