use std::sync::Arc;
use std::time::Duration;

use mesh_schemas::{Capability, TaskId};

use super::inner::Inner;
use crate::failure::TaskFailure;

/// What the agents for a capability do with the next tasks that they get, instead of what they are there for. Behaviours
/// are used in the order in which they were given; when all are used up, the agents work. One that no task comes for is
/// without effect: assert on what it must have led to, such as [`RunTask::was_created`](super::RunTask::was_created).
///
/// ```
/// use mesh_agents::TaskFailure;
/// use mesh_agents::testing::{TestMesh, hours};
/// use serde_json::json;
///
/// # const PAYMENT: &str = "
/// # mesh: v1
/// # name: payment
/// # tasks: {charge: {agent: charge, retry: {max_attempts: 5}}}
/// # ";
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let mesh = TestMesh::of(PAYMENT);
/// mesh.mock("charge", |_| Ok(json!({"paid": true})));
/// mesh.agent_for("charge")
///     .dies().once().then()
///     .fails_with(TaskFailure::retryable("busy", "not now")).times(2).then()
///     .takes(hours(12)).once();
///
/// let run = mesh.run(json!({"amount": 5})).await;
///
/// run.completed().after(hours(12));
/// run.task("charge").was_created(3).times().was_taken(4).times();
/// # }
/// ```
pub struct Script {
    mesh: Arc<Inner>,
    capability: Capability,
}

/// One behaviour of a [`Script`]. Unless something else is said, it is that of every execution from now on.
pub struct Step {
    script: Script,
    place: usize,
}

/// A behaviour, and how long it goes on.
#[derive(Debug, Clone)]
pub(super) struct Behaviour {
    pub(super) pause: Duration,
    pub(super) end: End,
    /// How many more executions it is for; `None` for all.
    left: Option<u32>,
    /// The task that it is for; `None` for all.
    task: Option<TaskId>,
}

/// How an execution ends.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// By the work that the agent is there for.
    Work,
    Fail(TaskFailure),
    /// Not at all.
    Never,
    /// By the death of the agent's process.
    Die,
    /// By the death of the agent's process when the work is done and nobody knows of it yet.
    DieAfterWork,
}

/// The behaviours for a capability.
#[derive(Debug, Default)]
pub(super) struct Behaviours(Vec<Behaviour>);

impl Behaviours {
    /// What the next execution of a task does.
    pub(super) fn next(&mut self, task: &TaskId) -> Option<Behaviour> {
        let next = self.0.iter_mut().find(|behaviour| {
            let is_meant = |only: &TaskId| only == task || *only == task.without_numbers();
            behaviour.left != Some(0) && behaviour.task.as_ref().is_none_or(is_meant)
        })?;
        next.left = next.left.map(|left| left - 1);
        Some(next.clone())
    }

    /// Whether what is added now is never reached.
    fn go_on_for_ever(&self) -> bool {
        self.0.iter().any(|behaviour| behaviour.left.is_none() && behaviour.task.is_none())
    }
}

impl Script {
    pub(super) fn new(mesh: Arc<Inner>, capability: Capability) -> Self {
        Self { mesh, capability }
    }

    /// It fails.
    #[track_caller]
    pub fn fails_with(self, failure: TaskFailure) -> Step {
        self.step(End::Fail(failure), Duration::ZERO)
    }

    /// It does its work, this long after it got the task.
    #[track_caller]
    pub fn takes(self, time: Duration) -> Step {
        self.step(End::Work, time)
    }

    /// It takes the task and never ends, until its time is over.
    #[track_caller]
    pub fn never_answers(self) -> Step {
        self.step(End::Never, Duration::ZERO)
    }

    /// Its process is killed before the work begins, with all other tasks that it has in hand, and started anew. The
    /// task is delivered again when the agent has been silent for 30 s.
    #[track_caller]
    pub fn dies(self) -> Step {
        self.step(End::Die, Duration::ZERO)
    }

    /// It does its work, and its process is killed before the outcome is stored: so the work is done again, with the
    /// same idempotency key.
    #[track_caller]
    pub fn dies_before_answering(self) -> Step {
        self.step(End::DieAfterWork, Duration::ZERO)
    }

    /// Forgets every behaviour: from now on, the agents do what they are there for.
    pub fn works(self) {
        self.change(|behaviours| behaviours.0.clear());
    }

    #[track_caller]
    fn step(self, end: End, pause: Duration) -> Step {
        let place = self.change(|behaviours| {
            if behaviours.go_on_for_ever() {
                return None;
            }
            behaviours.0.push(Behaviour { pause, end, left: None, task: None });
            Some(behaviours.0.len() - 1)
        });
        match place {
            Some(place) => Step { script: self, place },
            None => panic!(
                "the agents for '{}' have a behaviour without an end already, so this would never be seen: end it with \
                 .once() or .times(…), or forget it with mesh.agent_for({:?}).works()",
                self.capability,
                self.capability.as_str()
            ),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Behaviours) -> T) -> T {
        change(self.mesh.lock().behaviours.entry(self.capability.clone()).or_default())
    }
}

impl Step {
    /// Only for the next so many executions.
    pub fn times(self, count: u32) -> Self {
        self.change(|behaviour| behaviour.left = Some(count));
        self
    }

    /// Only for the next execution.
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Not at once, but this long after the agent got the task.
    pub fn after(self, time: Duration) -> Self {
        self.change(|behaviour| behaviour.pause = time);
        self
    }

    /// Only for executions of this task, where several tasks need the same capability.
    ///
    /// # Panics
    /// If no workflow here has a task of that id which needs the capability.
    #[track_caller]
    pub fn in_task(self, task: &str) -> Self {
        if let Err(wrong) = self.script.mesh.check_task(&self.script.capability, task) {
            panic!("{wrong}");
        }
        match TaskId::new(task) {
            Ok(task) => self.change(|behaviour| behaviour.task = Some(task)),
            Err(error) => panic!("{error}"),
        }
        self
    }

    /// What comes after that.
    #[must_use = "say what comes then"]
    pub fn then(self) -> Script {
        self.script
    }

    fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        self.script.change(|behaviours| behaviours.0.get_mut(self.place).map(change));
    }
}
