//! An agent for tests that kill it: does what the input says, and notes each execution in a file. Whoever listens is
//! told by `task.progress` when an execution stands there.
//!
//! `test-agent CAPABILITY FILE`; the mesh is found through the environment.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use mesh_agents::{Agent, Context, TaskFailure};
use rustix::process::{Signal, getpid, kill_process};
use serde::Deserialize;
use serde_json::{Value, json};

/// What to do with a task.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Order {
    /// Return at once.
    Return,
    /// Return after some milliseconds.
    Sleep { ms: u64 },
    /// Never return from the first delivery; return at once from later ones.
    HangAtFirst,
    /// Kill the process with SIGKILL.
    Die,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [capability, file] = arguments.as_slice() else { bail!("usage: test-agent CAPABILITY FILE") };
    let file: Arc<Path> = PathBuf::from(file).into();
    let handler = move |context: Context, order: Order| {
        let file = Arc::clone(&file);
        async move {
            note(&file, &context)?;
            context.progress(0.0, Some("noted")).await;
            work(&context, order).await
        }
    };
    Agent::builder("test-agent").capability(capability, handler).run().await?;
    Ok(())
}

/// One line for each execution: who, which attempt, which delivery.
fn note(file: &Path, context: &Context) -> std::io::Result<()> {
    let line =
        format!("{} {} {} {}\n", context.agent(), context.run(), context.attempt(), context.delivery());
    OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())
}

async fn work(context: &Context, order: Order) -> Result<Value, TaskFailure> {
    match order {
        Order::Return => {}
        Order::Sleep { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
        Order::HangAtFirst if context.delivery() == 1 => std::future::pending().await,
        Order::HangAtFirst => {}
        Order::Die => kill_process(getpid(), Signal::KILL)?,
    }
    Ok(json!({ "agent": context.agent(), "delivery": context.delivery() }))
}
