use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mesh_tests::{cargo_variables, mesh_binary, server_binary};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Longest time that anything may take; building an agent in Rust is by far the longest.
const PATIENCE: Duration = Duration::from_secs(300);

/// Somebody who follows a README in a folder of their own.
pub(crate) struct Shell {
    folder: PathBuf,
    checkout: PathBuf,
    port: u16,
    api_port: u16,
    background: Vec<Child>,
}

impl Shell {
    pub(crate) fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("mesh-readme-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder)?;
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
        let (port, api_port) = free_ports()?;
        Ok(Self { folder, checkout, port, api_port, background: Vec::new() })
    }

    /// Somebody who has a folder of the checkout before them: a copy of it, so that nothing is left in the checkout.
    pub(crate) fn beginning_with(folder: &Path) -> Result<Self> {
        let shell = Self::new()?;
        let copied =
            std::process::Command::new("cp").arg("-R").arg(folder.join(".")).arg(&shell.folder).status()?;
        ensure!(copied.success(), "{} cannot be copied", folder.display());
        Ok(shell)
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(self.folder.join(path), text)?)
    }

    /// Starts what runs in a terminal of its own; the mesh is awaited, agents are not.
    pub(crate) async fn start(&mut self, script: &str) -> Result<()> {
        let mut command = self.command(script)?;
        let mut child = command.process_group(0).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
        self.background.push(child);
        if script.starts_with("mesh up") {
            let ready =
                tokio::time::timeout(PATIENCE, lines.next_line()).await.context("mesh up is not ready")??;
            ensure!(ready.is_some(), "mesh up ended");
        }
        // Read to the end, or the process would block on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(())
    }

    /// Runs a script to its end; what it prints is returned.
    pub(crate) async fn run(&self, script: &str) -> Result<String> {
        let output = self.command(script)?.stdout(Stdio::piped()).kill_on_drop(true).output();
        let output =
            tokio::time::timeout(PATIENCE, output).await.with_context(|| format!("too long: {script}"))??;
        ensure!(
            output.status.success(),
            "{}: {script}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    fn command(&self, script: &str) -> Result<Command> {
        let binaries = mesh_binary()?.parent().context("a folder")?.to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths(std::iter::once(binaries.clone()).chain(std::env::split_paths(&path)))?;
        let mut command = Command::new("sh");
        for variable in cargo_variables() {
            command.env_remove(variable);
        }
        command
            .args(["-e", "-c", script])
            .current_dir(&self.folder)
            .env("PATH", path)
            .env("MESH", &self.checkout)
            .env("NATS_SERVER", server_binary()?)
            // The texts have the usual ports, which may be taken here.
            .env("MESH_UP_PORT", self.port.to_string())
            .env("MESH_NATS_URL", format!("nats://127.0.0.1:{}", self.port))
            .env("API_URL", format!("http://127.0.0.1:{}", self.api_port))
            .env("PYTHONPATH", self.checkout.join("target/tools/python"))
            // So that what was built for the tests need not be built again.
            .env("CARGO_TARGET_DIR", binaries.parent().context("a folder")?)
            .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
            .stdin(Stdio::null());
        Ok(command)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // The last started goes first: the mesh outlives its agents.
        for child in self.background.iter_mut().rev() {
            let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
            if let Some(group) = group {
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Two ports that nobody listens on.
fn free_ports() -> Result<(u16, u16)> {
    let (one, other) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok((one.local_addr()?.port(), other.local_addr()?.port()))
}
