//! A working agent to begin with.

mod files;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use mesh_schemas::{Capability, ErrorCode};

use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output;

/// Where this program was built: what a new agent takes its library from, unless another place is named.
const BUILT_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Write a working agent, with a workflow that uses it, to begin with
#[derive(Args)]
pub(crate) struct New {
    /// What to write it in
    #[arg(long, value_enum)]
    lang: Language,
    /// Its capability [default: the name of the folder]
    #[arg(long, value_name = "NAME")]
    capability: Option<Capability>,
    /// The checkout of the mesh whose library it uses [default: the one that this program was built in]
    #[arg(long, value_name = "FOLDER")]
    checkout: Option<PathBuf>,
    /// The folder to write; must be empty or not there yet
    dir: PathBuf,
}

/// What an agent can be written in.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// A Cargo project on the crate mesh-agents
    Rust,
    /// A script on the package mesh-agent
    Python,
    /// A shell script, run by `mesh agent exec`
    Shell,
}

impl New {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        let capability = match self.capability {
            Some(capability) => capability,
            None => named_like(&self.dir)?,
        };
        let checkout = checkout(self.checkout.as_deref())?;
        must_be_empty(&self.dir)?;
        for file in files::of(self.lang) {
            let path = self.dir.join(file.path);
            let text = file
                .text
                .replace("{{capability}}", capability.as_str())
                .replace("{{checkout}}", &checkout.display().to_string());
            write(&path, &text, file.executable)?;
        }
        if self.lang == Language::Rust {
            // With the versions that the library was tested with.
            let _ = std::fs::copy(checkout.join("Cargo.lock"), self.dir.join("Cargo.lock"));
        }
        output::line(&format!("wrote {0}: {0}/README.md tells how to run it", self.dir.display()))?;
        Ok(Outcome::Done)
    }
}

fn named_like(dir: &Path) -> anyhow::Result<Capability> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    Capability::new(name).context("the folder's name cannot be the capability: name one with --capability")
}

fn checkout(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let folder = given.unwrap_or_else(|| Path::new(BUILT_IN));
    let found =
        folder.canonicalize().ok().filter(|folder| folder.join("agents").join("Cargo.toml").is_file());
    found.ok_or_else(|| {
        let message = format!(
            "{} is no checkout of the mesh: name one with --checkout",
            if given.is_some() {
                folder.display().to_string()
            } else {
                "where this program was built".to_owned()
            }
        );
        Failure::new(ErrorCode::NoCheckout, message).into()
    })
}

fn must_be_empty(dir: &Path) -> anyhow::Result<()> {
    if std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        let message = format!("{} is not empty: name a folder that is not there yet", dir.display());
        return Err(Failure::new(ErrorCode::Unwritable, message).into());
    }
    Ok(())
}

fn write(path: &Path, text: &str, executable: bool) -> anyhow::Result<()> {
    let writing = || Failure::new(ErrorCode::Unwritable, format!("cannot write {}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(writing)?;
    }
    std::fs::write(path, text).with_context(writing)?;
    #[cfg(unix)]
    if executable {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).with_context(writing)?;
    }
    Ok(())
}
