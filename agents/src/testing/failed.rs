use std::time::Duration;

use mesh_schemas::payload::{RequestRejected, TaskError, WorkflowCancelled, WorkflowFailed};

use super::completed::{after, within};
use super::story::Story;

/// A run that failed. Each assertion panics if it does not hold, and shows what happened.
#[derive(Debug, Clone)]
pub struct FailedRun {
    pub(super) story: Story,
    pub(super) data: WorkflowFailed,
    pub(super) took: Duration,
}

impl FailedRun {
    /// The error has this code: that of the task that failed, or one of the mesh's own.
    #[track_caller]
    pub fn with_code(&self, expected: &str) -> &Self {
        code(&self.story, expected, &self.data.error.code, &self.data.error.message);
        self
    }

    /// The error's message has this in it.
    #[track_caller]
    pub fn saying(&self, expected: &str) -> &Self {
        saying(&self.story, expected, &self.data.error.message);
        self
    }

    /// It was this task that failed.
    #[track_caller]
    pub fn in_task(&self, expected: &str) -> &Self {
        let task = self.data.task.as_ref().map(ToString::to_string);
        if task.as_deref() != Some(expected) {
            let task = task.unwrap_or_else(|| "no task".to_owned());
            self.story.fail(format!("expected task '{expected}' to be what failed, but it was {task}"));
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
}

/// A task that failed. Each assertion panics if it does not hold, and shows what happened.
#[derive(Debug, Clone)]
pub struct FailedTask {
    pub(super) story: Story,
    pub(super) error: TaskError,
}

impl FailedTask {
    /// The failure has this code.
    #[track_caller]
    pub fn with_code(&self, expected: &str) -> &Self {
        code(&self.story, expected, &self.error.code, &self.error.message);
        self
    }

    /// The failure's message has this in it.
    #[track_caller]
    pub fn saying(&self, expected: &str) -> &Self {
        saying(&self.story, expected, &self.error.message);
        self
    }

    /// Another attempt would be of no use.
    #[track_caller]
    pub fn fatally(&self) -> &Self {
        if self.error.retryable {
            self.story
                .fail(format!("expected a fatal failure, but '{}' may be tried again", self.error.code));
        }
        self
    }

    /// Another attempt may go better.
    #[track_caller]
    pub fn retryably(&self) -> &Self {
        if !self.error.retryable {
            self.story.fail(format!(
                "expected a failure that may be tried again, but '{}' is fatal",
                self.error.code
            ));
        }
        self
    }

    /// The next attempt is to wait at least this long.
    #[track_caller]
    pub fn to_be_retried_after(&self, pause: Duration) -> &Self {
        let asked = self.error.retry_after;
        if asked != Some(pause.as_secs_f64()) {
            let asked = asked.map_or_else(|| "none".to_owned(), |seconds| format!("one of {seconds} s"));
            self.story.fail(format!(
                "expected a pause of {} s to be asked for, but it was {asked}",
                pause.as_secs_f64()
            ));
        }
        self
    }
}

/// A run that was cancelled. Each assertion panics if it does not hold, and shows what happened.
#[derive(Debug, Clone)]
pub struct CancelledRun {
    pub(super) story: Story,
    pub(super) data: WorkflowCancelled,
}

impl CancelledRun {
    /// The reason has this in it.
    #[track_caller]
    pub fn because(&self, expected: &str) -> &Self {
        saying(&self.story, expected, self.data.reason.as_deref().unwrap_or_default());
        self
    }
}

/// A request that started no run. Each assertion panics if it does not hold, and shows what happened.
#[derive(Debug, Clone)]
pub struct RejectedRequest {
    pub(super) story: Story,
    pub(super) data: RequestRejected,
}

impl RejectedRequest {
    /// The rejection has this code.
    #[track_caller]
    pub fn with_code(&self, expected: &str) -> &Self {
        code(&self.story, expected, &self.data.code, &self.data.reasons.join("; "));
        self
    }

    /// One of the reasons has this in it.
    #[track_caller]
    pub fn because(&self, expected: &str) -> &Self {
        saying(&self.story, expected, &self.data.reasons.join("; "));
        self
    }
}

#[track_caller]
fn code(story: &Story, expected: &str, code: &str, message: &str) {
    if code != expected {
        story.fail(format!("expected the code '{expected}', but it is '{code}': {message}"));
    }
}

#[track_caller]
fn saying(story: &Story, expected: &str, message: &str) {
    if !message.contains(expected) {
        story.fail(format!("expected words with {expected:?}, but they are {message:?}"));
    }
}
