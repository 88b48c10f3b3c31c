//! An agent that keeps a record of its own of what it executes, and when: one line for each execution, written before
//! the work is done and never taken back.
//!
//! `record-agent CAPABILITY FILE`; the mesh is found through the environment.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_tests::chaos::{Execution, Order, millis};

/// Tasks at once: enough that a death takes several with it.
const CAPACITY: usize = 16;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [capability, file] = arguments.as_slice() else { bail!("usage: record-agent CAPABILITY FILE") };
    let file: Arc<Path> = PathBuf::from(file).into();
    let handler = move |context: Context, order: Order| {
        let file = Arc::clone(&file);
        async move {
            note(&file, &context)?;
            tokio::time::sleep(Duration::from_millis(order.ms)).await;
            if context.attempt().get() <= order.failures {
                return Err(TaskFailure::retryable("busy", "not now"));
            }
            Ok(order.value)
        }
    };
    Agent::builder("record-agent").capacity(CAPACITY).capability(capability, handler).run().await?;
    Ok(())
}

fn note(file: &Path, context: &Context) -> std::io::Result<()> {
    let execution = Execution {
        pid: std::process::id(),
        run: context.run(),
        task: context.task().clone(),
        attempt: context.attempt(),
        delivery: context.delivery(),
        at: millis(),
    };
    let line = format!("{}\n", serde_json::to_string(&execution)?);
    OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())
}
