//! The whole mesh on the bus in this process, where time is skipped.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_bus::memory::MemoryServer;
use mesh_bus::{Bus, Request, RunOutcome, RunWaiter, Target, submit};
use mesh_orchestrator::{Options, definitions};
use mesh_schemas::document::Format;
use mesh_schemas::{Namespace, RequestId};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const SLOW: &str = "
mesh: v1
name: slow
timeout: 3d
output: '${tasks.b.output}'
tasks:
  a: {agent: work, timeout: 2d}
  b: {agent: work, needs: [a], with: {n: '${tasks.a.output.n}', wait: 0}, retry: {max_attempts: 3, initial: 10m, max: 1h, jitter: 0}}
";

async fn work(context: Context, input: Value) -> Result<Value, TaskFailure> {
    tokio::time::sleep(Duration::from_secs(input["wait"].as_u64().unwrap_or_default())).await;
    if context.task().as_str() == "b" && context.attempt().get() < 3 {
        return Err(TaskFailure::retryable("busy", "not now"));
    }
    Ok(json!({"n": input["n"].as_u64().unwrap_or_default() + 1}))
}

#[tokio::test(start_paused = true)]
async fn a_day_of_work_takes_a_moment() -> Result<()> {
    let server = MemoryServer::new(Namespace::default());
    let stop = CancellationToken::new();
    let orchestrator =
        tokio::spawn(mesh_orchestrator::run(server.connect(), Options::default(), stop.clone()));
    let agent =
        Agent::builder("worker").capability("work", work).bus(server.connect()).run_until(stop.clone());
    let agent = tokio::spawn(agent);
    let bus: Arc<dyn Bus> = server.connect();
    while bus.shards().await.is_err() {
        tokio::task::yield_now().await;
    }
    definitions::apply(&*bus, &definitions::check(SLOW, Format::Yaml)?).await?;
    let request = Request {
        target: Target::Workflow("slow".parse()?),
        id: RequestId { source: "test".to_owned(), id: "1".to_owned() },
        input: json!({"n": 1, "wait": 24 * 60 * 60}),
        correlation_id: None,
        causation_id: None,
        trace: None,
    };
    let run = submit(&*bus, &request).await?;
    let outcome = RunWaiter::new(Arc::clone(&bus), run).await?.wait().await?;
    let RunOutcome::Completed(completed) = outcome else { anyhow::bail!("{outcome:?}") };
    ensure!(completed.output == json!({"n": 3}), "{completed:?}");
    ensure!(completed.duration_ms >= (24 * 60 + 30) * 60 * 1000, "{completed:?}");
    stop.cancel();
    orchestrator.await??;
    agent.await??;
    Ok(())
}
