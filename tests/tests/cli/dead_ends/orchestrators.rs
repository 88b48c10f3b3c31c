//! How messages come to the dead ends of orchestrators.

use anyhow::{Context as _, Result, bail};
use mesh_bus::topology::{SHARD_MAX_ACK_PENDING, Stream};
use mesh_bus::{DeadEnd, RunWaiter, submit};
use mesh_schemas::RunId;
use mesh_tests::World;
use serde_json::json;

use super::{MAX_PAYLOAD, Provoked, Small, nobodys};

/// One task that nobody does unless a test does.
pub(super) const HELD: &str = "
mesh: v1
name: held
tasks: {t: {agent: held, retry: {max_attempts: 1}}}
";

pub(super) async fn provoke(mesh: &Small, end: DeadEnd) -> Result<Provoked> {
    let world = &mesh.world;
    let garbage = async |subject: &str, payload: &'static [u8], error| {
        world.publish(subject, payload).await?;
        anyhow::Ok(Provoked::new(end, subject, error))
    };
    match end {
        DeadEnd::InboxSubject => garbage("workflow.requested.Not_A_Name", b"{}", "Not_A_Name").await,
        DeadEnd::InboxType => {
            mesh.widen(Stream::Inbox, "relay", "timer.set.>").await?;
            garbage(&format!("timer.set.-.-.{}.deadline", nobodys()), b"{}", "requests and timers").await
        }
        DeadEnd::UnreadableRequest => garbage("workflow.requested.held", b"{\"n\": 1", "JSON").await,
        DeadEnd::LargeRequest => {
            // Every first event has the id of the request twice.
            let id = "x".repeat(MAX_PAYLOAD / 2);
            let event = json!({"specversion": "1.0", "id": id, "source": "/x", "type": "x", "data": 1});
            world.publish("task.requested.held", event.to_string()).await?;
            Ok(Provoked::new(end, "task.requested.held", "max payload size exceeded"))
        }
        DeadEnd::UnreadableTimer => {
            garbage(&format!("timer.due.-.-.{}.deadline", nobodys()), b"42", "CloudEvent").await
        }
        DeadEnd::UnreadableEvent => {
            garbage(&format!("workflow.started.held.-.{}", nobodys()), b"{", "JSON").await
        }
        DeadEnd::EventType => {
            garbage(&format!("workflow.exploded.held.-.{}", nobodys()), b"{}", "exploded").await
        }
        DeadEnd::EventOfNoRun => {
            let subject = format!("task.completed.held.normal.{}.t.1", nobodys());
            garbage(&subject, b"{\"output\": 1}", "the log has no run").await
        }
        DeadEnd::UnreadableFact => {
            let run = held(world).await?;
            garbage(&format!("task.completed.held.normal.{run}.t.1"), b"done!", "JSON").await
        }
        DeadEnd::StrayEvent => {
            // Of a task that is done, an attempt that never was.
            let run = held(world).await?;
            world.publish(&format!("task.completed.held.normal.{run}.t.1"), "{\"output\": 1}").await?;
            world.ended(run).await?;
            let subject = format!("task.completed.held.normal.{run}.t.2");
            garbage(&subject, b"{\"output\": 2}", "attempt 2 of task 't' was never created").await
        }
        DeadEnd::NewerEvent => {
            // Half of what a shard may have in hand is left to others, and no more.
            let mut subject = String::new();
            for _ in 0..=SHARD_MAX_ACK_PENDING / 2 {
                let run = std::iter::repeat_with(nobodys).find(|run| run.shard() == 0).context("a run")?;
                subject = format!("task.completed.held.normal.{run}.t.1");
                let newer = json!({
                    "specversion": "1.0", "id": "1", "source": "/x", "type": "task.completed",
                    "dataschema": "urn:mesh:schema:task.completed:2", "data": {}
                });
                world.publish(&subject, newer.to_string()).await?;
            }
            Ok(Provoked::new(end, subject, "task.completed:2 is not known here"))
        }
        DeadEnd::LargeDecision => {
            let run = with_no_room_left(world).await?;
            let subject = format!("workflow.started.held.-.{run}");
            Ok(Provoked::new(end, subject, "what follows from it is too large"))
        }
        DeadEnd::TaskSubject
        | DeadEnd::TaskType
        | DeadEnd::UnreadableTask
        | DeadEnd::PoisonTask
        | DeadEnd::LargeOutcome => bail!("agents come to it"),
    }
}

/// A run whose task waits for an agent.
async fn held(world: &World) -> Result<RunId> {
    world.apply(HELD).await?;
    let run = world.start("held", json!({})).await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.1")).await?;
    Ok(run)
}

/// A run whose first event fits and that has no room for another, as every event carries the requester's own id.
async fn with_no_room_left(world: &World) -> Result<RunId> {
    world.apply(HELD).await?;
    // A reference would make the first event longer than what follows.
    world.without_objects().await?;
    for less in (0..MAX_PAYLOAD).step_by(16) {
        let mut request = world.request("held", &format!("less-{less}"), json!({}))?;
        request.correlation_id = Some("x".repeat(MAX_PAYLOAD - less));
        let run = world.run_of(&request).await?;
        let mut waiter = RunWaiter::before_submit(world.bus.clone(), run).await?;
        if submit(&*world.bus, &request).await.is_err() {
            continue;
        }
        let started = format!("workflow.started.held.-.{run}");
        tokio::select! {
            // It was rejected: the first event did not fit.
            outcome = waiter.wait() => drop(outcome?),
            started = world.first(Stream::Events, &started) => {
                started?;
                return Ok(run);
            }
        }
    }
    bail!("no run began")
}
