//! Asking for runs and waiting for their end.

use anyhow::{Context as _, Result, bail};
use mesh_bus::topology::Stream;
use mesh_bus::{Publish, Request, RunOutcome, RunWaiter, SubmitError, Target, run_id, submit};
use mesh_schemas::payload::{RequestRejected, TaskCounts, WorkflowCompleted};
use mesh_schemas::{Envelope, MAX_DATA_BYTES, Message, RequestId, RunId, TraceContext};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::server::{Server, topology};
use crate::support::{run, soon};

on_every_bus!(
    an_outcome_from_before_is_seen,
    an_outcome_is_seen_as_soon_as_it_is_stored,
    a_rejection_of_an_earlier_try_is_not_taken_for_the_answer,
    a_request_is_stored_as_an_event,
    a_request_that_cannot_be_stored_is_refused_at_once,
    a_request_needs_a_namespace,
);

fn request(id: &str, input: Value) -> Result<Request> {
    let id = RequestId { source: "test".to_owned(), id: id.to_owned() };
    Ok(Request {
        correlation_id: Some("order-7".to_owned()),
        trace: TraceContext::new("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None),
        ..Request::new(Target::Workflow("onboarding".parse()?), id, input)
    })
}

fn event(subject: String, data: Value) -> Result<Message> {
    let (headers, body) = Envelope::new(&subject, "/mesh", "t", data).encode()?;
    Ok(Message { subject, headers, payload: body.into() })
}

fn completed(run: RunId, output: Value) -> Result<(Publish, RunOutcome)> {
    let data = WorkflowCompleted { output, duration_ms: 1, tasks: TaskCounts::default() };
    let subject = format!("mesh.workflow.completed.onboarding.-.{run}");
    Ok((Publish::once(event(subject, serde_json::to_value(&data)?)?), RunOutcome::Completed(data)))
}

fn rejected(run: RunId, code: &str) -> Result<(Publish, RunOutcome)> {
    let data = RequestRejected {
        subject: "mesh.workflow.requested.onboarding".to_owned(),
        request: RequestId { source: "test".to_owned(), id: "1".to_owned() },
        code: code.to_owned(),
        reasons: vec!["it is wrong".to_owned()],
    };
    let subject = format!("mesh.request.rejected.onboarding.{}", run.uuid());
    Ok((Publish::plain(event(subject, serde_json::to_value(&data)?)?), RunOutcome::Rejected(data)))
}

async fn wait(waiter: &mut RunWaiter) -> Result<RunOutcome> {
    Ok(soon("an outcome", waiter.wait()).await??)
}

async fn an_outcome_from_before_is_seen(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let (publish, outcome) = completed(run(1), json!({"status": "done"}))?;
    bus.publish(publish).await?;
    let mut waiter = RunWaiter::new(bus.clone(), run(1)).await?;
    assert_eq!(wait(&mut waiter).await?, outcome);
    let (publish, outcome) = rejected(run(2), "unknown_workflow")?;
    bus.publish(publish).await?;
    let mut waiter = RunWaiter::new(bus, run(2)).await?;
    assert_eq!(wait(&mut waiter).await?, outcome);
    Ok(())
}

async fn an_outcome_is_seen_as_soon_as_it_is_stored(server: &impl Server) -> Result<()> {
    let (bus, other) = (server.set_up().await?, server.connect().await?);
    // Far quicker than looking every two seconds would be.
    let begun = Instant::now();
    for number in 0..20 {
        let mut waiter = RunWaiter::new(bus.clone(), run(number)).await?;
        let (publish, outcome) =
            if number % 2 == 0 { completed(run(number), json!(1))? } else { rejected(run(number), "code")? };
        assert_eq!(waiter.look().await?, None);
        let waiting = tokio::spawn(async move { wait(&mut waiter).await });
        tokio::task::yield_now().await;
        other.publish(publish).await?;
        assert_eq!(waiting.await??, outcome);
    }
    assert!(begun.elapsed().as_secs() < 20, "after {:?}", begun.elapsed());
    Ok(())
}

async fn a_rejection_of_an_earlier_try_is_not_taken_for_the_answer(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    bus.publish(rejected(run(1), "unknown_workflow")?.0).await?;
    let mut waiter = RunWaiter::before_submit(bus.clone(), run(1)).await?;
    assert_eq!(waiter.look().await?, None);
    let (publish, outcome) = rejected(run(1), "invalid_input")?;
    bus.publish(publish).await?;
    assert_eq!(wait(&mut waiter).await?, outcome);
    let (publish, outcome) = completed(run(1), json!(1))?;
    bus.publish(publish).await?;
    assert_eq!(waiter.look().await?, Some(outcome), "a run that began was not rejected");
    Ok(())
}

async fn a_request_is_stored_as_an_event(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let request = request("1", json!({"name": "Zoë"}))?;
    let run = submit(&*bus, &request).await?;
    assert_eq!(run, run_id(&request, bus.shards().await?));
    assert_eq!(submit(&*bus, &request).await?, run);
    let stored = bus.last(Stream::Inbox, "mesh.workflow.requested.onboarding").await?.context("stored")?;
    assert_eq!(stored.sequence, 2, "whether it is a repetition is for the relay to say");
    let decoded = Envelope::decode(&stored.message.headers, &stored.message.payload)?;
    let event = decoded.envelope().context("a CloudEvent")?;
    assert_eq!((event.id.as_str(), event.source.as_str()), ("1", "test"));
    assert_eq!(event.type_, "workflow.requested");
    assert_eq!(event.correlationid.as_deref(), Some("order-7"));
    assert_eq!(event.data, request.input);
    assert!(event.time.is_some_and(|time| time <= stored.time + chrono::TimeDelta::milliseconds(1)));
    assert_eq!(TraceContext::from_headers(&stored.message.headers), request.trace);
    Ok(())
}

async fn a_request_that_cannot_be_stored_is_refused_at_once(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let large = request("1", json!("x".repeat(MAX_DATA_BYTES)))?;
    let Err(SubmitError::TooLarge { bytes }) = submit(&*bus, &large).await else { bail!("stored") };
    assert_eq!(bytes, MAX_DATA_BYTES + 2);
    let largest = request("1", json!("x".repeat(MAX_DATA_BYTES - 2)))?;
    submit(&*bus, &largest).await?;
    let nobody = request("", json!(1))?;
    assert!(matches!(submit(&*bus, &nobody).await, Err(SubmitError::NoIdentity)));
    Ok(())
}

async fn a_request_needs_a_namespace(server: &impl Server) -> Result<()> {
    let bus = server.connect().await?;
    let request = request("1", json!(1))?;
    let refused = submit(&*bus, &request).await;
    assert!(matches!(refused, Err(SubmitError::Bus(mesh_bus::BusError::NotSetUp(_)))), "{refused:?}");
    let refused = RunWaiter::before_submit(bus.clone(), run(1)).await.map(drop);
    assert!(matches!(refused, Err(mesh_bus::BusError::NotSetUp(_))), "{refused:?}");
    bus.set_up(&topology(2)).await?;
    submit(&*bus, &request).await?;
    Ok(())
}
