//! The messages that the tests send, and what they do with what comes.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use mesh_bus::topology::{Stream, agent_consumer};
use mesh_bus::{Bus, ConsumerSpec, Deliveries, Delivery, Publish, PublishError, Stored};
use mesh_schemas::{Headers, Lane, Message, RequestId, RunId, Shards, StoredMessage};

/// Longer than anything here takes on a busy machine; only a test that fails waits for it.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// A short `ack_wait`, for tests that wait until it is over. What must come before it is over comes far sooner.
pub(crate) const SHORT: Duration = Duration::from_millis(800);

/// A run of its own for each number, in a namespace of two shards.
pub(crate) fn run(number: u32) -> RunId {
    let request = RequestId { source: "test".to_owned(), id: number.to_string() };
    RunId::for_request("workflow.test", &request, Shards::new(2).expect("two shards"))
}

/// A run in a shard.
pub(crate) fn run_in(shard: u32) -> RunId {
    (0..).map(run).find(|run| run.shard() == shard).expect("every shard has runs")
}

pub(crate) fn message(subject: impl Into<String>, body: impl Into<Bytes>) -> Message {
    Message { subject: subject.into(), headers: Headers::new(), payload: body.into() }
}

/// An event of a run: `number` tells the events of one run apart.
pub(crate) fn event(run: RunId, number: u32) -> Publish {
    Publish::once(message(format!("mesh.task.completed.risk.normal.{run}.t{number}.1"), number.to_string()))
}

/// Work for agents of the capability `risk`.
pub(crate) fn task(number: u32) -> Publish {
    task_of("risk", number)
}

/// Work for agents of a capability.
pub(crate) fn task_of(capability: &str, number: u32) -> Publish {
    let subject = format!("mesh.task.created.{capability}.normal.{}.t.1", run(number));
    Publish::once(message(subject, number.to_string()))
}

/// A request for a run of a workflow.
pub(crate) fn request(workflow: &str, body: &str) -> Publish {
    Publish::plain(message(format!("mesh.workflow.requested.{workflow}"), body.to_owned()))
}

/// The consumer of agents of the capability `risk`.
pub(crate) fn agents() -> ConsumerSpec {
    let capability = "risk".parse().expect("a capability");
    agent_consumer(&"mesh".parse().expect("a namespace"), &capability, &Lane::Normal)
}

/// The same with a short `ack_wait`.
pub(crate) fn impatient() -> ConsumerSpec {
    ConsumerSpec { ack_wait: SHORT, ..agents() }
}

/// Stores tasks with these numbers, in order.
pub(crate) async fn store_tasks(bus: &dyn Bus, numbers: impl IntoIterator<Item = u32>) -> Result<()> {
    for number in numbers {
        bus.publish(task(number)).await?;
    }
    Ok(())
}

/// Stores a message and returns its sequence.
pub(crate) async fn store(bus: &dyn Bus, publish: Publish) -> Result<u64> {
    let subject = publish.message.subject.clone();
    match bus.publish(publish).await? {
        Stored::Now(sequence) => Ok(sequence),
        Stored::Already => anyhow::bail!("{subject} is taken"),
    }
}

/// Does something again until it is done or cannot be mended by trying again.
pub(crate) async fn until_done<T, E>(
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
    is_retryable: impl Fn(&E) -> bool,
) -> Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let mut tries = tokio::time::interval(Duration::from_millis(10));
    let trying = async {
        loop {
            tries.tick().await;
            match attempt().await {
                Err(error) if is_retryable(&error) => {}
                result => return Ok(result?),
            }
        }
    };
    soon("something that could not be done at first", trying).await?
}

/// Stores a message as soon as that can be done.
pub(crate) async fn store_when_possible(bus: &dyn Bus, publish: Publish) -> Result<Stored> {
    until_done(async || bus.publish(publish.clone()).await, PublishError::is_retryable).await
}

/// Stores a message and reads it back.
pub(crate) async fn stored(bus: &dyn Bus, stream: Stream, publish: Publish) -> Result<StoredMessage> {
    let sequence = store(bus, publish).await?;
    bus.at(stream, sequence).await?.context("it is stored")
}

/// Something that happens by itself, and soon.
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(LONG, event).await.with_context(|| format!("waited too long for {what}"))
}

/// Looks until something has become true: for what is sent and not confirmed.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    let looking = async {
        while !is_so().await? {
            looks.tick().await;
        }
        Ok(())
    };
    soon(what, looking).await?
}

pub(crate) async fn next(deliveries: &mut Box<dyn Deliveries>) -> Result<Delivery> {
    Ok(soon("a delivery", deliveries.next()).await??)
}

/// The bodies of the next messages, which are acknowledged.
pub(crate) async fn take(deliveries: &mut Box<dyn Deliveries>, count: usize) -> Result<Vec<String>> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        let delivery = next(deliveries).await?;
        delivery.acker.ack().await;
        bodies.push(body(&delivery));
    }
    Ok(bodies)
}

/// Waits a little to see that nothing comes. The only way to see that.
pub(crate) async fn nothing_comes(deliveries: &mut Box<dyn Deliveries>) -> bool {
    nothing_comes_for(Duration::from_millis(200), deliveries).await
}

pub(crate) async fn nothing_comes_for(time: Duration, deliveries: &mut Box<dyn Deliveries>) -> bool {
    tokio::time::timeout(time, deliveries.next()).await.is_err()
}

pub(crate) fn body(delivery: &Delivery) -> String {
    text(&delivery.stored.message)
}

pub(crate) fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}

/// A message with the headers that its publisher gave it, by name: the order of names is no part of it, and a bus may
/// keep headers of its own.
pub(crate) fn own(message: &Message) -> Message {
    let own = message.headers.iter().filter(|(name, _)| !name.starts_with("Nats-"));
    let mut named: Vec<(&str, &str)> = own.collect();
    named.sort_by_key(|(name, _)| *name);
    let mut headers = Headers::new();
    for (name, value) in named {
        headers.append(name.to_owned(), value.to_owned());
    }
    Message { headers, ..message.clone() }
}
