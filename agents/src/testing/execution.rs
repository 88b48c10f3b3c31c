//! One delivery of one task, seen through as an agent does it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mesh_bus::memory::{MemoryBus, MemoryServer};
use mesh_bus::topology::{AGENT_ACK_WAIT, Topology};
use mesh_bus::{Acker, Bus, Delivery, Publish};
use mesh_schemas::payload::{TaskCreated, TaskError, TaskFailed, TaskProgress, WorkflowStarted, code};
use mesh_schemas::{
    Definition, Envelope, Message, Namespace, RULES_VERSION, RequestId, RunId, Shards, StoredMessage,
    Subject, TaskId, TaskKey, TaskVerb, WorkflowName, WorkflowVerb,
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::mesh::PATIENCE;
use super::outcome::{Settled, TaskOutcome};
use super::process::Process;
use super::recorder::Recorder;
use super::single::{Interruption, TestTask};
use super::story::Story;
use super::time::{passed_on_the_wall, spoken};
use crate::cancel::Cancellations;
use crate::common::Common;
use crate::execute::Execution;

/// Who asks for what tests ask for.
pub(super) const SOURCE: &str = "/test";

/// The task of a run that consists of one task.
pub(super) fn direct_task() -> TaskId {
    TaskId::new("task").unwrap_or_else(|_| unreachable!("a valid task id"))
}

pub(super) async fn run(task: TestTask) -> TaskOutcome {
    let server = MemoryServer::new(Namespace::default());
    let stage = Stage::new(&server, &task).await;
    let delivery = stage.delivery(&task).await;
    let settled = Arc::clone(&stage.settled);
    let cancellations = Cancellations::default();
    let bus: Arc<dyn Bus> = stage.bus.clone();
    let served = (&task.capability, &task.agent.handlers[&task.capability]);
    let common = Common::new(&bus, &task.agent, served, &cancellations);
    let execution = Execution::new(&common);
    let begun = tokio::time::Instant::now();
    tokio::select! {
        () = execution.run(delivery) => {}
        () = stage.interrupt(&task, &cancellations, &common.abandon) => {}
        called = stage.recorder.await_request(|_| false) => stage.story().fail(format!(
            "the handler called for the capability '{called}', and there is no mesh around it here: give it a TestMesh, \
             with a mock of '{called}'"
        )),
        () = passed_on_the_wall(PATIENCE) => stage.story().fail(format!(
            "the handler did not end within {}; if it only waits, begin the test with \
             #[tokio::test(start_paused = true)], and the wait is skipped", spoken(PATIENCE)
        )),
    }
    let took = begun.elapsed();
    let settled = settled.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(Settled::Released);
    stage.outcome(settled, took).await
}

/// What is around the execution.
struct Stage {
    bus: Arc<MemoryBus>,
    key: TaskKey,
    recorder: Arc<Recorder>,
    settled: Arc<Mutex<Option<Settled>>>,
    correlation_id: Option<String>,
    _listener: Process,
}

impl Stage {
    async fn new(server: &MemoryServer, task: &TestTask) -> Self {
        let bus = server.connect();
        let target = match &task.workflow {
            Some(workflow) => format!("workflow.{workflow}"),
            None => format!("task.{}", task.capability),
        };
        let request = RequestId { source: SOURCE.to_owned(), id: "1".to_owned() };
        let key = TaskKey {
            capability: task.capability.clone(),
            lane: mesh_schemas::Lane::Normal,
            run: RunId::for_request(&target, &request, Shards::default()),
            task: task.task.clone(),
            attempt: task.attempt,
        };
        let recorder = Arc::new(Recorder::new());
        let listener = Arc::clone(&recorder);
        let listener = Process::start(server, |bus| async move {
            // It ends with the connection, when the task is done.
            let _ = listener.listen(&*bus).await;
        });
        recorder.is_listening().await;
        let correlation_id = task.correlation_id.clone();
        let stage = Self { bus, key, recorder, settled: Arc::default(), correlation_id, _listener: listener };
        // What cannot fail: nobody takes the bus away.
        let _ = stage.bus.set_up(&Topology::default()).await;
        let started = WorkflowStarted {
            digest: Definition::single_task(&task.capability).digest(),
            rules: RULES_VERSION,
            config: None,
            input: task.input.clone(),
            request,
            capability: task.workflow.is_none().then(|| task.capability.clone()),
            parent: None,
            taken_over: None,
            pause_before: Vec::new(),
        };
        let (workflow, run) = (task.workflow.clone(), stage.key.run);
        stage.store(&Subject::Workflow { verb: WorkflowVerb::Started, workflow, run }, &started).await;
        stage
    }

    /// The delivery that the agent is given.
    async fn delivery(&self, task: &TestTask) -> Delivery {
        let now = self.bus.now();
        let created = TaskCreated {
            workflow: task.workflow.as_ref().map_or("-", WorkflowName::as_str).to_owned(),
            digest: Definition::single_task(&task.capability).digest(),
            task: task.task.clone(),
            attempt: task.attempt,
            action: task.action.clone(),
            input: task.input.clone(),
            secrets: task.secrets.clone(),
            timeout_ms: task.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            deadline: chrono::TimeDelta::from_std(task.deadline)
                .ok()
                .and_then(|left| now.checked_add_signed(left)),
            basis: now,
            idempotency_key: task
                .idempotency_key
                .clone()
                .unwrap_or_else(|| format!("{}.{}", self.key.run, self.key.task)),
        };
        let message = self.store(&self.key.subject(TaskVerb::Created), &created).await;
        Delivery {
            ack_wait: AGENT_ACK_WAIT,
            stored: StoredMessage { message, sequence: 1, time: now },
            consumer_sequence: task.delivery,
            delivered: task.delivery,
            pin: None,
            received: self.bus.moment(),
            acker: Box::new(TestAcker(Arc::clone(&self.settled))),
        }
    }

    /// Interrupts the handler as the task says. Never returns.
    async fn interrupt(&self, task: &TestTask, cancellations: &Cancellations, abandon: &CancellationToken) {
        if let Some(interruption) = &task.interruption {
            let taken = |event: &super::event::Event| (event.event_type() == "task.assigned").then_some(());
            self.recorder.await_event(self.key.run, taken).await;
            match interruption {
                Interruption::CancelAfter(time) => {
                    tokio::time::sleep(*time).await;
                    self.cancel(cancellations).await;
                }
                Interruption::CancelWhen(fits) => {
                    let fits = |event: &super::event::Event| {
                        let progress = event.data_as::<TaskProgress>();
                        progress
                            .filter(|progress| event.event_type() == "task.progress" && fits(progress))
                            .map(drop)
                    };
                    self.recorder.await_event(self.key.run, fits).await;
                    self.cancel(cancellations).await;
                }
                Interruption::StopAfter(time) => {
                    tokio::time::sleep(*time + task.agent.drain).await;
                    abandon.cancel();
                }
            }
        }
        std::future::pending().await
    }

    async fn cancel(&self, cancellations: &Cancellations) {
        let error = TaskError {
            code: code::RUN_ENDED.to_owned(),
            message: "nobody waits for the task any more".to_owned(),
            retryable: false,
            retry_after: None,
        };
        let cancelled =
            self.message(&self.key.subject(TaskVerb::Cancelled), &TaskFailed { error, agent: None });
        let _ = self.bus.notify(cancelled).await;
        cancellations.cancel(&self.key);
    }

    async fn outcome(&self, settled: Settled, took: Duration) -> TaskOutcome {
        self.recorder.catch_up(&*self.bus).await;
        TaskOutcome { story: self.story(), key: self.key.clone(), settled, took }
    }

    fn story(&self) -> Story {
        let who = format!("attempt {} of task '{}'", self.key.attempt, self.key.task);
        Story::new(who, self.recorder.of_run(self.key.run))
    }

    fn message(&self, subject: &Subject, data: &impl Serialize) -> Message {
        let id = subject.render(self.bus.namespace());
        let data = serde_json::to_value(data).unwrap_or_default();
        let mut event = Envelope::new(id.clone(), SOURCE, subject.event_type(), data);
        event.time = Some(self.bus.now());
        event.correlationid.clone_from(&self.correlation_id);
        let (headers, body) = event.encode().unwrap_or_default();
        Message { subject: id, headers, payload: Bytes::from(body) }
    }

    async fn store(&self, subject: &Subject, data: &impl Serialize) -> Message {
        let message = self.message(subject, data);
        if let Err(error) = self.bus.publish(Publish::once(message.clone())).await {
            self.story().fail(format!("the task cannot be given: {error}"));
        }
        message
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.bus.cut();
    }
}

/// Notes how the delivery was settled.
#[derive(Debug)]
struct TestAcker(Arc<Mutex<Option<Settled>>>);

impl TestAcker {
    fn note(&self, settled: Settled) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(settled);
    }
}

#[async_trait]
impl Acker for TestAcker {
    async fn ack(&self) {
        self.note(Settled::Acked);
    }

    async fn nak(&self, _pause: Duration) {
        self.note(Settled::Released);
    }

    async fn progress(&self) {}
}
