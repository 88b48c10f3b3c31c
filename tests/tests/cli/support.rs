use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use mesh_tests::{World, mesh_binary};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// A person at a terminal: a home folder of their own, and nothing in the environment that they did not set.
pub(crate) struct Person {
    home: PathBuf,
    variables: Vec<(String, String)>,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Person {
    pub(crate) fn new() -> Result<Self> {
        let home = std::env::temp_dir().join(format!("mesh-cli-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&home)?;
        Ok(Self { home, variables: Vec::new() })
    }

    /// One whose environment says where the mesh is.
    pub(crate) fn of(world: &World) -> Result<Self> {
        let person = Self::new()?;
        Ok(person.with("MESH_NATS_URL", &world.url).with("MESH_NAMESPACE", world.namespace.as_str()))
    }

    pub(crate) fn with(mut self, variable: &str, value: &str) -> Self {
        self.variables.push((variable.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Writes a file into the home folder, where commands are run.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.home.join(name);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// The command, for tests that do more with it than wait for its end.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<Command> {
        self.program(&mesh_binary()?, arguments)
    }

    /// Another program, in the same surroundings.
    pub(crate) fn program(&self, program: &Path, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", &self.home)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("NATS_SERVER", mesh_tests::server_binary()?)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }

    /// Runs a command to its end.
    pub(crate) async fn says(&self, arguments: &[&str]) -> Result<Said> {
        self.says_to("", arguments).await
    }

    /// Runs a command that reads something, to its end.
    pub(crate) async fn says_to(&self, input: &str, arguments: &[&str]) -> Result<Said> {
        let mut child = self.command(arguments)?.stdin(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().context("a pipe")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let ended = mesh_tests::patiently("a command", child.wait_with_output()).await??;
        Ok(Said {
            code: ended.status.code().context("ended by a signal")?,
            out: String::from_utf8(ended.stdout)?,
            err: String::from_utf8(ended.stderr)?,
        })
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

impl Said {
    /// What stands on stdout of a command that went well.
    pub(crate) fn well(self) -> Result<String> {
        ensure!(self.code == 0, "exit code {}: {}", self.code, self.err);
        Ok(self.out)
    }

    /// The JSON on stdout of a command that went well.
    pub(crate) fn json(self) -> Result<Value> {
        let out = self.well()?;
        serde_json::from_str(&out).with_context(|| format!("not JSON: {out}"))
    }
}
