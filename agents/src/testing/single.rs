use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use mesh_schemas::definition::DEFAULT_RUN_TIMEOUT;
use mesh_schemas::payload::{SecretUse, TaskProgress};
use mesh_schemas::{Attempt, Capability, SecretName, TaskId, WorkflowName};
use serde_json::Value;

use super::execution;
use super::outcome::TaskOutcome;
use crate::agent::Prepared;

/// A task for a [`TestAgent`](super::TestAgent), which is done when it is awaited. Unless something else is said, it is the
/// first delivery of the first attempt of a task that was asked for directly, in a run that may take a day.
///
/// ```
/// use mesh_agents::testing::{TestAgent, seconds};
/// # use mesh_agents::{Agent, AgentBuilder, Context, TaskFailure};
/// # use serde_json::json;
/// # fn mailer() -> AgentBuilder {
/// #     Agent::builder("mailer").capability("mail", async |ctx: Context, _: serde_json::Value| {
/// #         ctx.progress(0.5, None).await;
/// #         ctx.cancellation().cancelled().await;
/// #         Err::<(), _>(TaskFailure::fatal("given_up", format!("with {}", ctx.idempotency_key())))
/// #     })
/// # }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let outcome = TestAgent::of(mailer())
///     .task("mail", json!({"to": "ada@example.org"}))
///     .action("welcome")
///     .attempt(2)
///     .idempotency_key("welcome-ada")
///     .cancelled_when(|progress| progress.progress >= 0.5)
///     .await;
///
/// outcome.failed().with_code("given_up").saying("welcome-ada");
/// # }
/// ```
#[must_use = "a task is done when it is awaited"]
pub struct TestTask {
    pub(super) agent: Prepared,
    pub(super) capability: Capability,
    pub(super) input: Value,
    pub(super) secrets: Vec<SecretUse>,
    pub(super) workflow: Option<WorkflowName>,
    pub(super) task: TaskId,
    pub(super) action: Option<String>,
    pub(super) attempt: Attempt,
    pub(super) delivery: u64,
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Duration,
    pub(super) idempotency_key: Option<String>,
    pub(super) correlation_id: Option<String>,
    pub(super) interruption: Option<Interruption>,
}

/// What comes between a handler and its end.
pub(super) enum Interruption {
    /// Nobody waits for the task any more, so long after it was taken.
    CancelAfter(Duration),
    /// Nobody waits for the task any more, at the first report of progress that fits.
    CancelWhen(Box<dyn Fn(&TaskProgress) -> bool + Send + Sync>),
    /// The agent is asked to stop, so long after it took the task.
    StopAfter(Duration),
}

impl TestTask {
    pub(super) fn new(agent: Prepared, capability: Capability, input: Value) -> Self {
        Self {
            agent,
            capability,
            input,
            secrets: Vec::new(),
            workflow: None,
            task: execution::direct_task(),
            action: None,
            attempt: Attempt::FIRST,
            delivery: 1,
            timeout: None,
            deadline: DEFAULT_RUN_TIMEOUT.get(),
            idempotency_key: None,
            correlation_id: None,
            interruption: None,
        }
    }

    /// It is a task of a workflow, under this id.
    ///
    /// # Panics
    /// If one of the names cannot be one.
    #[track_caller]
    pub fn of_workflow(mut self, workflow: &str, task: &str) -> Self {
        match (WorkflowName::new(workflow), TaskId::new(task)) {
            (Ok(workflow), Ok(task)) => (self.workflow, self.task) = (Some(workflow), task),
            (Err(error), _) | (_, Err(error)) => panic!("{error}"),
        }
        self
    }

    /// What the workflow asks for, for agents that can do several things.
    pub fn action(mut self, action: &str) -> Self {
        self.action = Some(action.to_owned());
        self
    }

    /// Which try of the task it is.
    ///
    /// # Panics
    /// If it is 0: attempts are counted from 1.
    #[track_caller]
    pub fn attempt(mut self, attempt: u32) -> Self {
        match attempt.to_string().parse() {
            Ok(attempt) => self.attempt = attempt,
            Err(error) => panic!("{error}"),
        }
        self
    }

    /// Which delivery of the attempt it is: above 1, agents died with those before. The sixth is not executed, as the
    /// task seems to kill whoever takes it.
    ///
    /// # Panics
    /// If it is 0: deliveries are counted from 1.
    #[track_caller]
    pub fn delivery(mut self, delivery: u64) -> Self {
        assert!(delivery > 0, "deliveries are counted from 1");
        self.delivery = delivery;
        self
    }

    /// The input refers to a secret in the text at a JSON pointer, in which `${secret("name")}` stands. The agent has it
    /// from [`AgentBuilder::secrets`](crate::AgentBuilder::secrets).
    ///
    /// # Panics
    /// If the name cannot be one.
    #[track_caller]
    pub fn secret(mut self, at: &str, name: &str) -> Self {
        match SecretName::new(name) {
            Ok(name) => self.secrets.push(SecretUse { at: at.to_owned(), name }),
            Err(error) => panic!("{error}"),
        }
        self
    }

    /// How long the handler may take (the task's `timeout`).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long the run goes on whatever happens: a day unless this says otherwise.
    pub fn deadline_in(mut self, time: Duration) -> Self {
        self.deadline = time;
        self
    }

    /// What the handler is to pass on to whatever must not happen twice.
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.idempotency_key = Some(key.to_owned());
        self
    }

    /// What the requester calls the whole piece of work.
    pub fn correlation_id(mut self, id: &str) -> Self {
        self.correlation_id = Some(id.to_owned());
        self
    }

    /// Nobody waits for the task any more, so long after it was taken.
    pub fn cancelled_after(mut self, time: Duration) -> Self {
        self.interruption = Some(Interruption::CancelAfter(time));
        self
    }

    /// Nobody waits for the task any more, as soon as the handler reports a progress that fits.
    pub fn cancelled_when(mut self, fits: impl Fn(&TaskProgress) -> bool + Send + Sync + 'static) -> Self {
        self.interruption = Some(Interruption::CancelWhen(Box::new(fits)));
        self
    }

    /// The agent is asked to stop, so long after it took the task. The handler then has its
    /// [`drain_timeout`](crate::AgentBuilder::drain_timeout) to end, before the task is given back.
    pub fn stopped_after(mut self, time: Duration) -> Self {
        self.interruption = Some(Interruption::StopAfter(time));
        self
    }
}

impl IntoFuture for TestTask {
    type Output = TaskOutcome;
    type IntoFuture = Pin<Box<dyn Future<Output = TaskOutcome> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(execution::run(self))
    }
}
