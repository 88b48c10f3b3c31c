//! An agent that does what it is told, when it is told.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_tests::{Running, World};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;

/// The input of a task: how it is to go. Without anything, its output is its input.
#[derive(Deserialize)]
struct Orders {
    /// So many attempts fail and are worth another.
    #[serde(default)]
    fail_first: u32,
    /// It fails for good.
    #[serde(default)]
    fatal: bool,
    /// It tells how far it is, and waits once more.
    #[serde(default)]
    progress: bool,
}

/// Lets the worker go on, once for each time.
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn open(&self) {
        self.0.add_permits(1);
    }

    /// From now on, nothing waits.
    pub(crate) fn open_for_good(&self) {
        self.0.add_permits(10_000);
    }
}

/// The agent `worker-1` with the capability `work`.
pub(crate) async fn worker(world: &World) -> Result<(Running, Gate)> {
    let gate = Arc::new(Semaphore::new(0));
    let mine = Arc::clone(&gate);
    let handler = move |ctx: Context, input: Value| work(Arc::clone(&mine), ctx, input);
    let agent = Agent::builder("worker").id("worker-1").capability("work", handler);
    let agent = world.agent(agent).await.context("the worker")?;
    Ok((agent, Gate(gate)))
}

async fn work(gate: Arc<Semaphore>, ctx: Context, input: Value) -> Result<Value, TaskFailure> {
    let pass = || async {
        match gate.acquire().await {
            Ok(permit) => permit.forget(),
            Err(_) => std::future::pending().await,
        }
    };
    pass().await;
    let Ok(orders) = Orders::deserialize(&input) else { return Ok(input) };
    if orders.progress {
        ctx.progress(0.5, Some("half way")).await;
        pass().await;
    }
    if orders.fatal {
        return Err(TaskFailure::fatal("broken", "it\nbroke"));
    }
    if ctx.attempt().get() <= orders.fail_first {
        return Err(TaskFailure::retryable("flaky", "not yet"));
    }
    Ok(input)
}

/// The worker's work is the whole workflow, and its output that of the run.
pub(crate) const SINGLE: &str = "
mesh: v1
name: single
output: '${tasks.work.output}'
tasks: {work: {agent: work, retry: {initial: 20ms, jitter: 0}}}
";

/// A bit of everything, one after another.
pub(crate) const TOUR: &str = "
mesh: v1
name: tour
output: '${tasks.load.output}'
tasks:
  fetch: {agent: work, with: {progress: true}}
  load: {agent: work, needs: [fetch], with: {fail_first: 1}, retry: {initial: 20ms, jitter: 0}}
  maybe: {agent: work, needs: [load], when: 'false'}
  after: {agent: work, needs: [maybe]}
  risky: {agent: work, needs: [load], with: {fatal: true}, on_failure: continue}
";
