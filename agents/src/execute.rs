//! One execution of one task: decode, look, run, store the outcome, acknowledge.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use mesh_bus::{BusError, DeadEnd, Delivery, ReferenceError, fetch};
use mesh_schemas::payload::{TaskAssigned, TaskCreated, TaskError, code};
use mesh_schemas::{
    Decoded, Envelope, ObjectOwner, SCHEMA_VERSION, Subject, SubjectError, TaskKey, TaskVerb, TraceContext,
};
use mesh_telemetry::metrics::elapsed;
use mesh_telemetry::metrics::table::{AGENT_REDELIVERED, AGENT_START, CONSUMED, PROCESS_DURATION};
use tracing::{Instrument, debug, warn};

use crate::common::Common;
use crate::context::{Context, Inner};
use crate::failure::{TaskFailure, timeout};
use crate::handler::{Handler, Output};
use crate::look;
use crate::outcome::{self, Outcome};
use crate::release;
use crate::trace::Trace;

/// Deliveries of one attempt that may be lost: neither brought to an outcome nor given back. An attempt that comes
/// once more most likely kills whoever takes it.
const MAX_LOST: u64 = 5;
/// What a handler that was told to stop gets before it is dropped.
const GRACE: Duration = Duration::from_secs(5);
/// The form of the subjects of work.
const TEMPLATE: &str = "task.created.{capability}.{lane}.{shard}.{run}.{task}.{attempt}";
/// Pause before a task that this agent cannot read is offered again, to one that can.
const NEWER_PAUSE: Duration = Duration::from_secs(30);
/// Pause before the bus is asked again.
const LOOK_PAUSE: Duration = Duration::from_millis(250);

pub(crate) struct Execution {
    common: Arc<Common>,
    trace: Trace,
    /// The code of the error of the task that failed.
    failed: OnceLock<String>,
}

impl Execution {
    pub(crate) fn new(common: &Arc<Common>) -> Self {
        Self { common: Arc::clone(common), trace: Trace::default(), failed: OnceLock::new() }
    }

    /// Sees one delivery through, marking it in progress all the while.
    pub(crate) async fn run(self, delivery: Delivery) {
        let age = self.common.bus.moment().since(delivery.received);
        if age >= delivery.ack_wait {
            // This process was stopped for a while: by now another has it, or it comes again.
            debug!(subject = delivery.stored.message.subject, ?age, "a delivery of the past");
            return;
        }
        CONSUMED.add(1, [TEMPLATE]);
        let begun = tokio::time::Instant::now();
        let abandon = self.common.abandon.clone();
        let work = self.handle(&delivery);
        let mut work = std::pin::pin!(work);
        let period = delivery.ack_wait / 3;
        if age >= period {
            // It has waited here already, and the first mark would be late.
            delivery.acker.progress().await;
        }
        let mut marks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
        loop {
            tokio::select! {
                biased;
                // First of all: what a handler says on being told that its agent stops is no outcome.
                () = abandon.cancelled() => return self.release(&delivery, Duration::ZERO).await,
                settled = &mut work => {
                    let failed = self.failed.get().map_or("", String::as_str);
                    PROCESS_DURATION.record(begun.elapsed(), [TEMPLATE, failed]);
                    match settled {
                        Settled::Ack => {
                            let since = SystemTime::now();
                            delivery.acker.ack().await;
                            self.trace.settled(&delivery, since);
                        }
                        Settled::Release(pause) => self.release(&delivery, pause).await,
                    }
                    return;
                }
                _ = marks.tick() => delivery.acker.progress().await,
            }
        }
    }

    /// Gives a delivery back for others to do, which is not to die with it.
    pub(crate) async fn release(&self, delivery: &Delivery, pause: Duration) {
        let message = &delivery.stored.message;
        if let Ok(Subject::Task { key, .. }) = Subject::parse(self.common.bus.namespace(), &message.subject) {
            let decoded = Envelope::decode(&message.headers, &message.payload).ok();
            let said = decoded.as_ref().and_then(Decoded::envelope).map(Said::from).unwrap_or_default();
            release::note(&self.context(&key, said, None, delivery, None)).await;
        }
        delivery.acker.nak(pause).await;
    }

    async fn handle(&self, delivery: &Delivery) -> Settled {
        let bus = &*self.common.bus;
        let stored = &delivery.stored;
        let key = match Subject::parse(bus.namespace(), &stored.message.subject) {
            Ok(Subject::Task { verb: TaskVerb::Created, key }) => key,
            Ok(_) | Err(SubjectError::Unknown { .. }) => {
                return self.bury(delivery, DeadEnd::TaskType, "only task.created is work").await;
            }
            Err(error) => return self.bury(delivery, DeadEnd::TaskSubject, &error.to_string()).await,
        };
        AGENT_REDELIVERED.add(u64::from(delivery.delivered > 1), [key.capability.as_str()]);
        let (said, task) = match self.read(&key, delivery).await {
            Ok(read) => read,
            Err(Unreadable::OutOfReach(error)) => {
                warn!(%error, "a task whose input this agent may not read is left to others");
                return Settled::Release(NEWER_PAUSE);
            }
            Err(Unreadable::Lost(error)) => {
                // Of a run that is gone, the data is gone, too.
                if !until_answered(|| look::is_wanted(bus, &key, None)).await {
                    return Settled::Ack;
                }
                let message = format!("the input of the task is lost: {error}");
                let context = self.context(&key, Said::default(), None, delivery, None);
                let failed = Outcome::Failed(fatal(code::LOST_INPUT, &message));
                return self.settle(delivery, self.store(&context, failed).await).await;
            }
            Err(Unreadable::Newer(schema)) => {
                warn!(%schema, "a task of a newer schema is left to newer agents");
                return Settled::Release(NEWER_PAUSE);
            }
            Err(Unreadable::Malformed(error)) => {
                let failure = TaskFailure::retryable(code::MALFORMED_TASK, &error);
                let context = self.context(&key, Said::default(), None, delivery, None);
                // If there is no room for that, the letter says enough.
                let _ = self.store(&context, Outcome::Failed(failure.0)).await;
                return self.bury(delivery, DeadEnd::UnreadableTask, &error).await;
            }
        };
        if !self.is_wanted(&key, &task, delivery.delivered).await {
            debug!(subject = stored.message.subject, "done already, or not wanted any more");
            return Settled::Ack;
        }
        let deadline = deadline(bus.now(), stored.time, &task);
        let context = self.context(&key, said, Some(&task), delivery, deadline);
        if self.is_poison(&key, delivery.delivered).await {
            let message = format!("{MAX_LOST} deliveries ended without an outcome");
            let _ = self.store(&context, Outcome::Failed(fatal(code::POISON, &message))).await;
            return self.bury(delivery, DeadEnd::PoisonTask, &message).await;
        }
        let capability = key.capability.as_str();
        if delivery.delivered == 1 {
            AGENT_START.record(elapsed((bus.now() - stored.time).num_milliseconds()), [capability]);
        }
        let (span, lines) = self.trace.begin(&context, delivery);
        let stored = self.execute(context, task).instrument(lines).instrument(span).await;
        self.settle(delivery, stored).await
    }

    /// What becomes of a delivery whose outcome is stored, or has no room in any form.
    async fn settle(&self, delivery: &Delivery, stored: Result<(), String>) -> Settled {
        match stored {
            Ok(()) => Settled::Ack,
            Err(error) => self.bury(delivery, DeadEnd::LargeOutcome, &error).await,
        }
    }

    /// The task, with its input wherever that is.
    async fn read(&self, key: &TaskKey, delivery: &Delivery) -> Result<(Said, TaskCreated), Unreadable> {
        let message = &delivery.stored.message;
        if let Some((event, task)) = Envelope::decode_with(&message.headers, &message.payload) {
            let correlation_id = event.correlationid().map(str::to_owned);
            return Ok((Said { correlation_id, trace: event.trace() }, task));
        }
        let malformed = |error: &dyn std::fmt::Display| Unreadable::Malformed(error.to_string());
        match Envelope::decode(&message.headers, &message.payload).map_err(|error| malformed(&error))? {
            Decoded::Event(mut event) => {
                if let Some((schema, version)) = event.mesh_schema()
                    && version > SCHEMA_VERSION
                {
                    return Err(Unreadable::Newer(format!("{schema}:{version}")));
                }
                let reference =
                    event.dataref(self.common.bus.namespace()).map_err(|error| malformed(&error))?;
                if let Some(reference) = reference {
                    if *reference.object.owner() != ObjectOwner::Run(key.run) {
                        return Err(malformed(&"dataref: the object belongs to another run"));
                    }
                    let input = until_answered(|| async {
                        match fetch(&*self.common.bus, &reference).await {
                            Ok((input, _)) => Ok(Ok(input)),
                            Err(ReferenceError::Lost(error)) => Ok(Err(Unreadable::Lost(error))),
                            Err(ReferenceError::Bus(error)) if error.is_retryable() => Err(error),
                            Err(ReferenceError::Bus(error)) => Ok(Err(Unreadable::OutOfReach(error))),
                        }
                    });
                    event.put_large(&reference, input.await?).map_err(|error| malformed(&error))?;
                }
                let task = event.data().map_err(|error| malformed(&error))?;
                Ok((Said::from(&event), task))
            }
            Decoded::Bare(value) => {
                let task = serde_json::from_value(value).map_err(|error| malformed(&error))?;
                Ok((Said::default(), task))
            }
        }
    }

    /// Runs the handler and stores the outcome; the error is that there is no room for any.
    async fn execute(&self, context: Arc<Inner>, mut task: TaskCreated) -> Result<(), String> {
        let _listed = self.common.cancellations.list(&context.key, context.cancelled.clone());
        self.assign(&context).await;
        let result = match self.common.secrets.put_into(&mut task).await {
            Ok(redactor) => {
                let redactor = context.redactor.get_or_init(|| redactor);
                let result = run_handler(&*self.common.handler, &context, task).await;
                result.map(|output| output.redacted(redactor)).map_err(|failure| failure.redacted(redactor))
            }
            Err(missing) => Err(missing),
        };
        let outcome = match result {
            Ok(output) => Outcome::Completed(output),
            Err(failure) => Outcome::Failed(failure.0),
        };
        if let Outcome::Failed(error) = &outcome {
            warn!(error.code, error.message, "task failed");
        }
        self.trace.ended(&context, &outcome);
        self.store(&context, outcome).await
    }

    /// Stores the outcome, and remembers what failed; the error is that there is no room for any.
    async fn store(&self, context: &Inner, outcome: Outcome) -> Result<(), String> {
        let stored = outcome::store(context, outcome).await;
        let failed = match &stored {
            Ok(code) => code.clone(),
            Err(_) => Some(code::PAYLOAD_TOO_LARGE.to_owned()),
        };
        if let Some(failed) = failed {
            self.failed.get_or_init(|| failed);
        }
        stored.map(drop)
    }

    /// Tells that the agent has taken the task. Advisory: sent, not awaited.
    async fn assign(&self, context: &Inner) {
        let data = TaskAssigned { agent: self.common.agent.clone(), delivery: context.delivery };
        let subject = Subject::TaskAssigned { key: context.key.clone(), delivery: context.delivery };
        let _ = self.common.bus.notify(context.event(&subject, &data)).await;
    }

    async fn is_wanted(&self, key: &TaskKey, task: &TaskCreated, delivered: u64) -> bool {
        if !look::is_needed(&*self.common.bus, task, delivered) {
            return true;
        }
        until_answered(|| look::is_wanted(&*self.common.bus, key, Some(task))).await
    }

    async fn is_poison(&self, key: &TaskKey, delivered: u64) -> bool {
        delivered > MAX_LOST
            && until_answered(|| release::lost_before(&*self.common.bus, key, delivered)).await >= MAX_LOST
    }

    fn context(
        &self,
        key: &TaskKey,
        said: Said,
        task: Option<&TaskCreated>,
        delivery: &Delivery,
        deadline: Option<DateTime<Utc>>,
    ) -> Arc<Inner> {
        let header_trace = TraceContext::from_headers(&delivery.stored.message.headers);
        Arc::new(Inner {
            common: Arc::clone(&self.common),
            key: key.clone(),
            workflow: task.map_or_else(|| "-".to_owned(), |task| task.workflow.clone()),
            action: task.and_then(|task| task.action.clone()),
            idempotency_key: task
                .map_or_else(|| format!("{}.{}", key.run, key.task), |task| task.idempotency_key.clone()),
            correlation_id: said.correlation_id.unwrap_or_else(|| key.run.to_string()),
            created_id: delivery.stored.message.subject.clone(),
            deadline,
            delivery: delivery.delivered,
            cancelled: self.common.abandon.child_token(),
            trace: said.trace.or(header_trace),
            processing: OnceLock::new(),
            asked: Mutex::new(BTreeMap::new()),
            redactor: OnceLock::new(),
        })
    }

    async fn bury(&self, delivery: &Delivery, end: DeadEnd, error: &str) -> Settled {
        self.trace.put_aside(delivery, end.reason().as_str(), error);
        outcome::letter(&*self.common.bus, end, &delivery.stored, error).await;
        Settled::Ack
    }
}

/// Asks the bus until it answers.
async fn until_answered<T, F: Future<Output = Result<T, BusError>>>(ask: impl Fn() -> F) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => debug!(%error, "the bus does not answer yet"),
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

/// What the envelope of a task says that its outcome repeats.
#[derive(Default)]
struct Said {
    correlation_id: Option<String>,
    trace: Option<TraceContext>,
}

impl From<&Envelope> for Said {
    fn from(event: &Envelope) -> Self {
        Self { correlation_id: event.correlationid.clone(), trace: event.trace() }
    }
}

/// What to do with a delivery.
enum Settled {
    Ack,
    /// Give it back, to come again after this time.
    Release(Duration),
}

enum Unreadable {
    Malformed(String),
    /// Its input is not where it should be.
    Lost(String),
    /// Its input may be there, and this agent is not told.
    OutOfReach(BusError),
    Newer(String),
}

/// The end of the time that an execution may take from now: its own timeout, and what may be left of the run's. How much
/// that is at most, the server's clock says that both times are by, so that this machine's may be wrong. The orchestrator
/// keeps the run's deadline, and then tells the agent.
fn deadline(now: DateTime<Utc>, stored: DateTime<Utc>, task: &TaskCreated) -> Option<DateTime<Utc>> {
    let timeout =
        task.timeout_ms.and_then(|millis| chrono::TimeDelta::try_milliseconds(i64::try_from(millis).ok()?));
    let of_run = task.deadline.map(|deadline| (deadline - stored).max(chrono::TimeDelta::zero()));
    let left = [timeout, of_run].into_iter().flatten().min()?;
    now.checked_add_signed(left)
}

/// Runs the handler within its time. A handler that was told to stop gets a little longer before it is dropped.
async fn run_handler(
    handler: &dyn Handler,
    context: &Arc<Inner>,
    task: TaskCreated,
) -> Result<Output, TaskFailure> {
    let left =
        context.deadline.map(|deadline| (deadline - context.common.bus.now()).to_std().unwrap_or_default());
    if left == Some(Duration::ZERO) {
        return Err(timeout("the time for the task was over before it could begin"));
    }
    let handling = AssertUnwindSafe(async { handler.handle(Context(Arc::clone(context)), task).await });
    let mut handling = std::pin::pin!(handling.catch_unwind());
    let time_is_over = async {
        match left {
            Some(left) => tokio::time::sleep(left).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        result = &mut handling => return result.unwrap_or_else(|panic| Err(panicked(&*panic))),
        () = time_is_over => {
            context.cancelled.cancel();
            return Err(timeout("the handler did not end within the time for the task"));
        }
        () = context.cancelled.cancelled() => {}
    }
    match tokio::time::timeout(GRACE, handling).await {
        Ok(result) => result.unwrap_or_else(|panic| Err(panicked(&*panic))),
        Err(_) => {
            Err(TaskFailure(fatal(code::RUN_ENDED, "the task was cancelled and its handler did not end")))
        }
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> TaskFailure {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    TaskFailure::retryable(code::PANIC, format!("the handler panicked: {text}"))
}

fn fatal(code: &str, message: &str) -> TaskError {
    TaskError { code: code.to_owned(), message: message.to_owned(), retryable: false, retry_after: None }
}
