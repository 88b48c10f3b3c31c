use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use mesh_tests::mesh_binary;
use serde_json::Value;
use tokio::process::Command;

/// What a check said, and how it ended.
pub(crate) struct Checked {
    pub(crate) code: i32,
    pub(crate) err: String,
    pub(crate) report: Value,
}

/// `mesh agent check` with these arguments, in an environment where agents of every kind find what they need.
pub(crate) fn command(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(mesh_binary()?);
    command
        .args(["agent", "check", "-o", "json"])
        .args(arguments)
        .env_clear()
        .env("HOME", std::env::temp_dir())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("PYTHONPATH", python_path())
        .env("NATS_SERVER", mesh_tests::server_binary()?)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    Ok(command)
}

/// An agent in Python.
pub(crate) fn python(script: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(script).env("PYTHONPATH", python_path()).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Where Python finds our package and the client library.
fn python_path() -> String {
    let tools = std::env::var("PYTHONPATH").unwrap_or_else(|_| path("target/tools/python"));
    format!("{}:{tools}", path("agents/python"))
}

/// Runs a check to its end.
pub(crate) async fn check(arguments: &[&str]) -> Result<Checked> {
    finish(command(arguments)?).await
}

pub(crate) async fn finish(mut command: Command) -> Result<Checked> {
    let ended = mesh_tests::patiently("a check", command.output()).await??;
    let err = String::from_utf8(ended.stderr)?;
    let report = if ended.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&ended.stdout)? };
    Ok(Checked { code: ended.status.code().context("ended by a signal")?, err, report })
}

impl Checked {
    /// The rules with one of these results.
    pub(crate) fn rules(&self, results: &[&str]) -> BTreeSet<String> {
        let all = self.report["rules"].as_array().into_iter().flatten();
        let name = |rule: &Value| rule["rule"].as_str().unwrap_or_default().to_owned();
        all.filter(|rule| results.iter().any(|result| rule["result"] == *result)).map(name).collect()
    }

    /// What is said of a rule.
    pub(crate) fn line(&self, rule: &str) -> Result<&Value> {
        let mut all = self.report["rules"].as_array().into_iter().flatten();
        all.find(|line| line["rule"] == rule)
            .with_context(|| format!("nothing is said of {rule}: {}", self.err))
    }

    /// That exactly these rules are broken, the warnings among them.
    pub(crate) fn breaks(&self, what: &str, expected: &[&str]) -> Result<()> {
        let expected: BTreeSet<String> = expected.iter().map(|rule| (*rule).to_owned()).collect();
        let broken = self.rules(&["fail", "warning"]);
        ensure!(
            broken == expected,
            "{what}: {broken:?} are broken, not {expected:?}: {}{:#}",
            self.err,
            self.report
        );
        let fails = self.rules(&["fail"]);
        ensure!(self.code == i32::from(!fails.is_empty()), "{what}: exit code {}: {fails:?}", self.code);
        Ok(())
    }
}

/// A path from the top folder of the checkout.
pub(crate) fn path(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path).to_string_lossy().into_owned()
}

/// An agent of these tests.
pub(crate) fn agent(name: &str) -> String {
    path(&format!("tests/tests/check/agents/{name}"))
}

/// The agent on the Rust SDK that does what its input says.
pub(crate) fn test_agent() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_test-agent"))
}
