use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_bus::{Bus as _, Publish, Request, Target, persist, submit};
use mesh_schemas::payload::{Rerun, child_run};
use mesh_schemas::{Headers, Message, RunId, SignalId, Subject, WorkflowName};
use serde_json::Value;
use tokio::time::{sleep, sleep_until};

use super::World;
use super::link::Link;
use super::party::{Kind, Party};
use crate::workload::{self, Again, Run, Says, Sending, Signal};

/// How often whoever wants a run done again looks whether it has ended.
const LOOK: Duration = Duration::from_millis(700);
/// How often somebody looks whether runs stand.
const ATTENTION: Duration = Duration::from_secs(9);

/// How often whoever looks has a run go on.
const PATIENCE: u64 = 12;

/// Sends all requests and signals at their times, each until it is stored.
pub(super) async fn send_all(world: &Arc<World>) {
    let runs = world.workload.runs.iter().enumerate();
    futures::future::join_all(runs.map(|(place, run)| send(world, place as u64, run))).await;
}

async fn send(world: &Arc<World>, place: u64, run: &Run) {
    let link = Link(Party::new(world, Kind::Client, 1_000_000 + place));
    let requests = run.sent.iter().map(|sending| request(world, &link, run, sending));
    let id = run.id(world.shards);
    let signals = run.signals.iter().map(|sent| signal(&link, run.workflow().cloned(), id, sent));
    let inner = run.inner.iter().map(|inner| {
        let workflow = inner.workflow.as_str().parse().ok();
        let called = child_run(link.namespace(), world.shards, &inner.key(id));
        signal(&link, workflow, called, &inner.signal)
    });
    let (requests, signals) = (futures::future::join_all(requests), futures::future::join_all(signals));
    futures::join!(requests, signals, futures::future::join_all(inner));
}

async fn request(world: &World, link: &Link, run: &Run, sending: &Sending) {
    sleep_until(world.begun + sending.at).await;
    let pause_before = run.pause_before.iter().cloned().collect();
    let (id, input) = (run.request.clone(), sending.input.clone());
    ask(world, link, Request { id, input, pause_before, ..blank(run) }).await;
}

/// Has a run done again, when it has ended.
pub(super) async fn again(world: Arc<World>, place: usize) {
    let run = &world.workload.runs[place];
    let Some(Again { from, input, .. }) = &run.again else { return };
    let link = Link(Party::new(&world, Kind::Client, 3_000_000 + place as u64));
    let of = run.id(world.shards);
    while !world.observer().has_ended(&of) {
        sleep(LOOK).await;
    }
    let rerun = Some(Rerun { of, from: from.iter().cloned().collect() });
    let (id, input) = (run.request_again(), input.clone());
    ask(&world, &link, Request { id, input, rerun, ..blank(run) }).await;
}

/// A request for what a run is of.
fn blank(run: &Run) -> Request {
    let target = match &run.target {
        workload::Target::Workflow(name) => Target::Workflow(name.clone()),
        workload::Target::Task(capability) => Target::Task(capability.clone()),
    };
    let correlation_id = run.correlation_id.clone();
    Request { correlation_id, ..Request::new(target, run.request.clone(), Value::Null) }
}

async fn ask(world: &World, link: &Link, request: Request) {
    // It gives up after half a minute without the bus; clients that mean it go on.
    while let Err(error) = submit(link, &request).await {
        if !error.is_retryable() {
            return world.violate(format!("a request cannot be submitted: {error}"));
        }
    }
}

async fn signal(link: &Link, workflow: Option<WorkflowName>, id: RunId, sent: &Signal) {
    sleep(sent.at).await;
    tell(link, workflow, id, &sent.says, sent.id.clone()).await;
}

/// Has every run go on that stands, now and then. One that stands too often is given up: what it starts may fail each time.
pub(super) async fn attend(world: Arc<World>) {
    let link = Link(Party::new(&world, Kind::Client, 2_000_000));
    for number in 0_u64.. {
        sleep(ATTENTION).await;
        let standing = world.observer().standing();
        for (run, workflow, pauses) in standing {
            let Ok(signal) = SignalId::new(format!("attended-{number}")) else { return };
            let says = if pauses > PATIENCE { Says::Cancel(None) } else { Says::Resume };
            tell(&link, workflow, run, &says, signal).await;
        }
    }
}

async fn tell(link: &Link, workflow: Option<WorkflowName>, run: RunId, says: &Says, sent: SignalId) {
    let (name, data) = says.told();
    let payload = data.map(|data| Bytes::from(data.to_string())).unwrap_or_default();
    let Ok(signal) = SignalId::new(name) else { return };
    let subject = Subject::Signalled { workflow, run, signal, id: sent };
    let message = Message { subject: subject.render(link.namespace()), headers: Headers::new(), payload };
    persist(|| false, || link.publish(Publish::once(message.clone()))).await;
}
