//! NATS servers that commands start: that of `mesh up`, and those for the time of a check or a measurement.

mod folder;
mod port;
mod program;
mod scratch;
mod servers;
mod sync;

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use mesh_schemas::ErrorCode;
use tokio::process::{Child, Command};

use crate::exit::Outcome;
use crate::failure::Failure;

pub(crate) use scratch::ScratchServer;
use servers::Member;
pub(crate) use servers::NatsServers;
pub(crate) use sync::Sync;

/// Longest time a server gets to end by itself: it writes its state to disk.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of a server's log is shown when it does not start.
const LOG_TAIL: u64 = 2_000;

/// A server that ends when this process ends, also when this process is killed.
struct NatsServer {
    process: Child,
    log: PathBuf,
    port: u16,
    sync: Sync,
    /// Held for as long as we live.
    _lock: File,
}

impl NatsServer {
    /// Starts a server with JetStream on a folder and a port of this machine only; on any free port for 0. A durable one
    /// forces each write onto the disk.
    async fn start(data: &Path, port: u16, durable: bool, member: Option<&Member>) -> anyhow::Result<Self> {
        let program = program::find().await?;
        // The folder first: who starts twice by mistake is told so, and not only that the port is taken. One that is new
        // has nobody in it, and is left behind by nobody who cannot start.
        if !data.exists() {
            port::free(port)?;
        }
        let lock = folder::take(data)?;
        let port = port::free(port)?;
        let configuration = data.join("nats-server.conf");
        let unusable =
            || Failure::new(ErrorCode::DataFolder, format!("cannot make {} ready", data.display()));
        let sync = Sync::configure(data, &configuration, durable).with_context(unusable)?;
        let log = data.join("nats-server.log");
        // Through ourselves, so that the server is told when we die (see `Tethered`).
        let process = Command::new(std::env::current_exe()?)
            .args(tether())
            .arg(&program)
            .arg("--")
            .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
            .arg("--config")
            .arg(&configuration)
            .arg("--store_dir")
            .arg(data)
            .arg("--log")
            .arg(&log)
            .args(member.into_iter().flat_map(cluster))
            // Not in our process group: Ctrl-C is for us, and we stop the server last.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| cannot_start(ErrorCode::NoServerProgram, &program))?;
        Ok(Self { process, log, port, sync, _lock: lock })
    }

    /// The port of 127.0.0.1 that it listens on.
    fn port(&self) -> u16 {
        self.port
    }

    /// How often it forces written data onto the disk.
    fn sync(&self) -> &Sync {
        &self.sync
    }

    /// Whether it has not ended.
    fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Waits until the server has ended by itself, and says why.
    async fn ended(&mut self) -> anyhow::Error {
        match self.process.wait().await {
            Ok(status) => {
                let message =
                    format!("nats-server ended ({status}); the end of its log:\n{}", self.log_tail());
                Failure::new(ErrorCode::ServerEnded, message).into()
            }
            Err(error) => anyhow::Error::new(error).context("waiting for nats-server"),
        }
    }

    /// Stops the server in order, and by force if that takes too long.
    async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) =
            self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
        {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)
                .context("stopping nats-server")?;
        }
        if tokio::time::timeout(STOP_TIMEOUT, self.process.wait()).await.is_err() {
            self.process.kill().await.context("killing nats-server")?;
        }
        Ok(())
    }

    fn log_tail(&self) -> String {
        let tail = || {
            let mut file = std::fs::File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            std::io::Result::Ok(String::from_utf8_lossy(&text).into_owned())
        };
        tail().unwrap_or_else(|error| format!("(no log at {}: {error})", self.log.display()))
    }
}

/// What to start ourselves with, so that a program ends with us: its path and `--` and its arguments come after this.
pub(crate) fn tether() -> [String; 3] {
    ["nats-server".to_owned(), "--parent".to_owned(), std::process::id().to_string()]
}

/// Becomes nats-server, or another program, after having asked the system to end it when its parent ends. A child cannot
/// be asked to do that from outside, so `mesh` starts itself once more for it.
#[derive(Args)]
pub(crate) struct Tethered {
    /// Process id of the parent
    #[arg(long)]
    parent: i32,
    program: PathBuf,
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Tethered {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        use std::os::unix::process::CommandExt as _;

        #[cfg(target_os = "linux")]
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
        // A parent that had ended before was not waited for by the system.
        let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
        if parent != Some(self.parent) {
            let message = format!("who started {} is gone", self.program.display());
            return Err(Failure::new(ErrorCode::NoProgram, message).into());
        }
        let error = std::process::Command::new(&self.program).args(&self.arguments).exec();
        Err(error).with_context(|| cannot_start(ErrorCode::NoProgram, &self.program))
    }
}

/// What makes a server one of a cluster.
fn cluster(member: &Member) -> [String; 8] {
    let listens = format!("nats://127.0.0.1:{}", member.port);
    let arguments = [
        ("--name", member.name.clone()),
        ("--cluster_name", "mesh".to_owned()),
        ("--cluster", listens),
        ("--routes", member.routes.clone()),
    ];
    let mut arguments = arguments.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
    std::array::from_fn(|_| arguments.next().unwrap_or_default())
}

fn cannot_start(code: ErrorCode, program: &Path) -> Failure {
    Failure::new(code, format!("cannot start {}", program.display()))
}
