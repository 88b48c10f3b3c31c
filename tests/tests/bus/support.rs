//! A server with a namespace on it, and the messages that the tests send.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use mesh_bus::nats::{ConnectOptions, NatsBus};
use mesh_bus::topology::{Topology, agent_consumer};
use mesh_bus::{Bus, ConsumerSpec, Deliveries, Delivery, Publish};
use mesh_schemas::{Headers, Lane, Message, Namespace, RequestId, RunId, Shards};
use mesh_tests::TestServer;

/// Longer than anything here takes on a busy machine; only a test that fails waits for it.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A server, and a bus on it.
pub(crate) struct World {
    pub(crate) server: TestServer,
    pub(crate) bus: NatsBus,
}

impl World {
    /// With a namespace of two shards.
    pub(crate) async fn new() -> Result<Self> {
        let server = TestServer::start()?;
        let bus = connect(&server).await?;
        bus.set_up(&topology(2)).await?;
        Ok(Self { server, bus })
    }
}

pub(crate) async fn connect(server: &TestServer) -> Result<NatsBus> {
    Ok(NatsBus::connect(ConnectOptions::new(&server.url())).await?)
}

pub(crate) fn topology(shards: u32) -> Topology {
    Topology { shards: Shards::new(shards).expect("a number of shards"), ..Topology::default() }
}

/// A run of its own for each number, in a namespace of two shards.
pub(crate) fn run(number: u32) -> RunId {
    let request = RequestId { source: "test".to_owned(), id: number.to_string() };
    RunId::for_request("workflow.test", &request, Shards::new(2).expect("two shards"))
}

fn message(subject: impl Into<String>, body: &str) -> Message {
    Message {
        subject: subject.into(),
        headers: Headers::new(),
        payload: Bytes::copy_from_slice(body.as_bytes()),
    }
}

/// An event of a run: `number` tells the events of one run apart.
pub(crate) fn event(run: RunId, number: u32) -> Publish {
    Publish::once(message(format!("mesh.task.completed.risk.normal.{run}.t{number}.1"), &number.to_string()))
}

/// Work for agents of the capability `risk`.
pub(crate) fn task(number: u32) -> Publish {
    let subject = format!("mesh.task.created.risk.normal.{}.t.1", run(number));
    Publish::once(message(subject, &number.to_string()))
}

/// What nobody listens to, of so many bytes.
pub(crate) fn progress(bytes: usize) -> Message {
    message(format!("mesh.task.progress.risk.normal.{}.t.1", run(0)), &" ".repeat(bytes))
}

/// The consumer of agents of the capability `risk`.
pub(crate) fn agents() -> ConsumerSpec {
    agent_consumer(&Namespace::default(), &"risk".parse().expect("a capability"), &Lane::Normal)
}

pub(crate) async fn next(deliveries: &mut Box<dyn Deliveries>) -> Result<Delivery> {
    Ok(tokio::time::timeout(LONG, deliveries.next()).await.context("nothing was delivered")??)
}

/// Waits a little to see that nothing comes. The only way to see that.
pub(crate) async fn nothing_comes(deliveries: &mut Box<dyn Deliveries>) -> bool {
    tokio::time::timeout(Duration::from_millis(300), deliveries.next()).await.is_err()
}

pub(crate) fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.stored.message.payload).into_owned()
}
