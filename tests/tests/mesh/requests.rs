//! What becomes of requests.

use anyhow::{Context as _, Result};
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, Request, RunOutcome, Target, submit};
use mesh_schemas::payload::RequestRejected;
use mesh_schemas::{Envelope, RequestId};
use mesh_tests::{Audit, TestServer, World, patiently};
use serde_json::{Value, json};

async fn echo(_ctx: Context, input: Value) -> Result<Value, TaskFailure> {
    Ok(input)
}

const ONE: &str = "
mesh: v1
name: one
input: {type: object, required: [n], properties: {n: {type: integer}, mail: {type: string, minLength: 3}}}
output: '${tasks.work.output}'
tasks: {work: {agent: echo}}
";

#[tokio::test]
async fn the_same_request_is_the_same_run() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("echo").capability("echo", echo)).await?;
    world.apply(ONE).await?;
    let request = world.request("one", "order-1", json!({"n": 1}))?;
    let first = submit(&*world.bus, &request).await?;
    let again = submit(&*world.bus, &Request { input: json!({"n": 2}), ..request.clone() }).await?;
    assert_eq!(first, again);
    world.ended(first).await?;
    submit(&*world.bus, &Request { input: json!("wrong"), ..request }).await?;
    let audit = Audit::when_idle(&world, &["echo"]).await?;
    assert_eq!((audit.runs.len(), audit.created.len()), (1, 1));
    assert_eq!(world.stored(Stream::Notes, "request.rejected.>").await?.len(), 0);
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_request_is_rejected_with_every_reason() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(ONE).await?;
    let RunOutcome::Rejected(rejected) = world.run("one", json!({"n": "x", "mail": ""})).await? else {
        anyhow::bail!("the request was not rejected")
    };
    assert_eq!((rejected.code.as_str(), rejected.reasons.len()), ("invalid_input", 2));
    assert!(rejected.reasons.iter().any(|reason| reason.contains("input/n")), "{rejected:?}");
    let RunOutcome::Rejected(rejected) = world.run("ones", json!({})).await? else {
        anyhow::bail!("the request was not rejected")
    };
    assert_eq!(rejected.code, "unknown_workflow");
    assert!(rejected.reasons[0].contains("did you mean 'one'?"), "{rejected:?}");
    Audit::when_idle(&world, &[]).await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn one_task_runs_without_a_workflow() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("echo").capability("echo", echo)).await?;
    let request = Request {
        target: Target::Task("echo".parse()?),
        ..world.request("unused", "task-1", json!({"hello": "world"}))?
    };
    let run = submit(&*world.bus, &request).await?;
    let RunOutcome::Completed(completed) = world.ended(run).await? else {
        anyhow::bail!("the task did not complete")
    };
    assert_eq!(completed.output, json!({"hello": "world"}));
    Audit::when_idle(&world, &["echo"]).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

/// An external system knows NATS and JSON, and nothing of us.
#[tokio::test]
async fn a_bare_publish_starts_a_run_that_anyone_can_replay() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("echo").capability("echo", echo)).await?;
    world.apply(ONE).await?;
    let client = async_nats::connect(server.url()).await?;
    client.publish(format!("{}.workflow.requested.one", world.namespace), r#"{"n": 7}"#.into()).await?;
    client.flush().await?;
    world.first(Stream::Events, "workflow.completed.one.>").await?;
    let audit = Audit::when_idle(&world, &["echo"]).await?;
    assert_eq!(audit.runs.len(), 1);
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn correlation_and_trace_pass_through_every_event() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("echo").capability("echo", echo)).await?;
    world.apply(ONE).await?;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = Request {
        correlation_id: Some("order-77".to_owned()),
        causation_id: Some("click-1".to_owned()),
        trace: mesh_schemas::TraceContext::new(traceparent, None),
        id: RequestId { source: "/shop".to_owned(), id: "77".to_owned() },
        ..world.request("one", "unused", json!({"n": 1}))?
    };
    world.ended(submit(&*world.bus, &request).await?).await?;
    let mut events = world.stored(Stream::Events, ">").await?;
    events.extend(world.stored(Stream::Tasks, ">").await?);
    assert_eq!(events.len(), 4);
    for stored in &events {
        let message = &stored.message;
        let decoded = Envelope::decode(&message.headers, &message.payload)?;
        let event = decoded.envelope().context("an event of ours has an envelope")?;
        assert_eq!(event.correlationid.as_deref(), Some("order-77"), "{}", message.subject);
        assert_eq!(event.traceparent.as_deref(), Some(traceparent), "{}", message.subject);
        assert!(message.headers.get("traceparent").is_some(), "{}", message.subject);
        assert_eq!(event.id, message.subject);
    }
    Audit::when_idle(&world, &["echo"]).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

/// A requester that listens only for rejections sees one for what cannot even be read.
#[tokio::test]
async fn an_unreadable_request_is_rejected_and_put_aside() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.publish("workflow.requested.one", "{ this is not JSON").await?;
    let rejected = world.first(Stream::Notes, "request.rejected.>").await?;
    let decoded = Envelope::decode(&rejected.message.headers, &rejected.message.payload)?;
    let data: RequestRejected = serde_json::from_value(decoded.data().clone())?;
    assert_eq!(data.code, "malformed");
    let letter = world.first(Stream::Dead, "dead.inbox.malformed").await?;
    assert_eq!(letter.message.payload, "{ this is not JSON");
    patiently("the namespace to be idle", Audit::when_idle(&world, &[])).await??;
    assert!(
        world
            .bus
            .read_run(&world.run_of(&world.request("one", "1", json!({}))?).await?)
            .await?
            .events
            .is_empty()
    );
    orchestrator.stop().await
}
