use std::fmt;
use std::time::Duration;

use mesh_schemas::payload::{TaskCompleted, TaskFailed, TaskProgress};
use mesh_schemas::{RunId, TaskKey, TaskVerb};
use serde::de::DeserializeOwned;

use super::completed::{CompletedTask, after, within};
use super::event::Event;
use super::events::Events;
use super::failed::FailedTask;
use super::story::Story;
use super::task::progress;
use crate::failure::TaskFailure;
use crate::handler::Output;

/// What became of a task that a [`TestAgent`](super::TestAgent) was given. Each assertion panics if it does not hold, and
/// shows what happened.
#[derive(Debug, Clone)]
pub struct TaskOutcome {
    pub(super) story: Story,
    pub(super) key: TaskKey,
    pub(super) settled: Settled,
    pub(super) took: Duration,
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// It need not come again.
    Acked,
    /// It was given back, for other agents.
    Released,
}

impl TaskOutcome {
    /// It went well.
    #[track_caller]
    pub fn completed(&self) -> CompletedTask {
        match self.stored::<TaskCompleted>(TaskVerb::Completed) {
            Some(data) => CompletedTask { story: self.story.clone(), data },
            None => self.story.fail(format!("expected it to complete, but {}", self.instead())),
        }
    }

    /// It failed.
    #[track_caller]
    pub fn failed(&self) -> FailedTask {
        match self.stored::<TaskFailed>(TaskVerb::Failed) {
            Some(data) => FailedTask { story: self.story.clone(), error: data.error },
            None => self.story.fail(format!("expected it to fail, but {}", self.instead())),
        }
    }

    /// It has no outcome: the agent gave it back, for other agents to do.
    #[track_caller]
    pub fn was_given_back(&self) -> &Self {
        if self.settled != Settled::Released {
            self.story.fail(format!("expected it to be given back, but {}", self.instead()));
        }
        self
    }

    /// It took no longer than this, by tokio's clock.
    #[track_caller]
    pub fn within(&self, time: Duration) -> &Self {
        within(&self.story, self.took, time);
        self
    }

    /// It took this long or longer, by tokio's clock.
    #[track_caller]
    pub fn after(&self, time: Duration) -> &Self {
        after(&self.story, self.took, time);
        self
    }

    /// What the handler told of its progress, from 0 to 1, is exactly this.
    #[track_caller]
    pub fn reported(&self, expected: &[f64]) -> &Self {
        let told: Vec<f64> = self.progress().into_iter().map(|told| told.progress).collect();
        if told != expected {
            self.story.fail(format!("expected the progress {expected:?}, but it told {told:?}"));
        }
        self
    }

    /// The output, read into a type.
    ///
    /// # Panics
    /// If the task did not complete, or the output does not have the type.
    #[track_caller]
    pub fn output<T: DeserializeOwned>(&self) -> T {
        self.completed().output()
    }

    /// The output or the failure, for whatever is not asserted here; `None` if it was given back.
    #[must_use]
    pub fn result(&self) -> Option<Result<Output, TaskFailure>> {
        let completed = self.stored(TaskVerb::Completed).map(|data: TaskCompleted| {
            Ok(Output { output: data.output, quality: data.quality, usage: data.usage })
        });
        completed
            .or_else(|| self.stored(TaskVerb::Failed).map(|data: TaskFailed| Err(TaskFailure(data.error))))
    }

    /// Everything that the handler told of its progress.
    #[must_use]
    pub fn progress(&self) -> Vec<TaskProgress> {
        progress(&self.story, self.key.task.as_str())
    }

    /// How long it took, by tokio's clock.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The run that the task belonged to: the same for the same capability or workflow, in every test.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.key.run
    }

    /// Everything that happened.
    #[must_use]
    pub fn events(&self) -> Events {
        Events { story: self.story.clone(), tasks: Some(vec![self.key.task.to_string()]) }
    }

    fn stored<T: DeserializeOwned>(&self, verb: TaskVerb) -> Option<T> {
        let subject = self.key.subject(verb);
        self.story.first(|event| (event.subject == subject).then(|| event.data_as()).flatten())
    }

    fn instead(&self) -> String {
        let outcome = |event: &Event| {
            matches!(event.event_type().as_str(), "task.completed" | "task.failed").then(|| event.to_string())
        };
        match (self.settled, self.story.first(outcome)) {
            (_, Some(outcome)) => format!("it did not:\n  {outcome}"),
            (Settled::Released, None) => "the agent gave it back".to_owned(),
            (Settled::Acked, None) => "the agent took it for done already".to_owned(),
        }
    }
}

impl fmt::Display for TaskOutcome {
    /// What happened, a line for each event.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.story.fmt(f)
    }
}
