//! Which nats-server to start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use mesh_bus::nats::{NEEDED, is_new_enough};
use mesh_schemas::ErrorCode;
use tokio::process::Command;

use crate::failure::Failure;

/// How long the program may take to say its version: it is read from disk, and does nothing else.
const ANSWER: Duration = Duration::from_secs(10);
/// Where servers are to be had.
const DOWNLOADS: &str = "https://github.com/nats-io/nats-server/releases";

/// A program that is new enough.
pub(super) async fn find() -> anyhow::Result<PathBuf> {
    let program = locate()?;
    check_version(&program).await?;
    Ok(program)
}

/// `NATS_SERVER`, else the one that the build fetched, else the first on the path.
fn locate() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("NATS_SERVER").filter(|given| !given.is_empty()) {
        let given = PathBuf::from(given);
        if given.is_file() {
            return Ok(given);
        }
        return Err(failure(format!(
            "NATS_SERVER names {}, which is not a file: unset it, or name a nats-server",
            given.display()
        )));
    }
    let fetched = std::env::current_exe()?
        .parent()
        .and_then(Path::parent)
        .map(|target| target.join("tools").join("nats-server"));
    let on_path = std::env::var_os("PATH").into_iter().flat_map(|path| {
        std::env::split_paths(&path).map(|folder| folder.join("nats-server")).collect::<Vec<_>>()
    });
    fetched.into_iter().chain(on_path).find(|program| program.is_file()).ok_or_else(|| {
        failure(format!("there is no nats-server on the PATH, and NATS_SERVER names none. {}", get_one()))
    })
}

fn failure(message: String) -> anyhow::Error {
    Failure::new(ErrorCode::NoServerProgram, message).into()
}

fn get_one() -> String {
    let (major, minor) = NEEDED;
    format!(
        "Run `make tools` in a checkout of the mesh, or download {major}.{minor} or later from {DOWNLOADS} and put it \
         on the PATH or name it with NATS_SERVER=…; the package of Debian and Ubuntu is too old"
    )
}

async fn check_version(program: &Path) -> anyhow::Result<()> {
    let shown = program.display();
    let mut asked = Command::new(program);
    asked.arg("--version").kill_on_drop(true);
    let said = match tokio::time::timeout(ANSWER, asked.output()).await {
        Ok(said) => said.with_context(|| {
            Failure::new(
                ErrorCode::NoServerProgram,
                format!("cannot start {shown}; name a program that this user may execute with NATS_SERVER"),
            )
        })?,
        Err(_) => {
            return Err(failure(format!("{shown} does not say its version within {} s", ANSWER.as_secs())));
        }
    };
    // `nats-server: v2.15.1`
    let text = String::from_utf8_lossy(&said.stdout);
    let version = text.trim().rsplit([' ', ':']).next().unwrap_or_default().trim_start_matches('v');
    if is_new_enough(version) {
        return Ok(());
    }
    let (major, minor) = NEEDED;
    if version.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(failure(format!(
            "{shown} is version {version}, but the mesh needs {major}.{minor} or later. {}",
            get_one()
        )));
    }
    let line = text.lines().next().unwrap_or_default();
    Err(failure(format!(
        "{shown} is no nats-server: asked for its version, it says {line:?} ({}). {}",
        said.status,
        get_one()
    )))
}
