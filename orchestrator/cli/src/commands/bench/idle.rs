//! Runs that are open beside those that are measured, and wait for an agent that does not come.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use mesh_bus::nats::NatsBus;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, Request, Target, submit};
use mesh_orchestrator::definitions;
use mesh_schemas::definition::parse;
use mesh_schemas::document::Format;
use mesh_schemas::{RequestId, WorkflowName};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::load::STANDSTILL;

/// What nobody does, and the workflow that asks for it.
const NAME: &str = "bench-idle";
/// Requests that are on their way at a time.
const AT_ONCE: usize = 512;
/// Pause before it is looked again how many runs wait.
const LOOK: Duration = Duration::from_millis(100);

/// Has so many runs begin, and returns when all of them wait.
pub(super) async fn begin(bus: &Arc<NatsBus>, runs: u32) -> anyhow::Result<()> {
    let document = json!({
        "mesh": "v1", "name": NAME, "timeout": "1d",
        "tasks": { "wait": { "agent": NAME, "with": { "text": "${input.text}" } } },
    });
    definitions::apply(&**bus, &parse(&document.to_string(), Format::Json)?).await?;
    let target = Target::Workflow(WorkflowName::new(NAME)?);
    let requests = (0..runs).map(|number| {
        let id = RequestId { source: "/bench/idle".to_owned(), id: number.to_string() };
        Request::new(target.clone(), id, json!({ "text": "x".repeat(100) }))
    });
    stream::iter(requests)
        .map(async |request| submit(&**bus, &request).await)
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| std::future::ready(Ok(())))
        .await?;
    let filter = format!("{}.task.created.{NAME}.>", bus.namespace());
    let (mut waiting, mut changed) = (0, Instant::now());
    while waiting < u64::from(runs) {
        let now = bus.count(Stream::Tasks, &filter).await?;
        if now > waiting {
            (waiting, changed) = (now, Instant::now());
        } else if changed.elapsed() > STANDSTILL {
            bail!(
                "of {runs} runs that are to wait, {waiting} do, and no more for {} s",
                STANDSTILL.as_secs()
            );
        }
        sleep(LOOK).await;
    }
    Ok(())
}
