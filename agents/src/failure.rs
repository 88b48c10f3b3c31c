use std::fmt;
use std::time::Duration;

use mesh_schemas::payload::{TaskError, code};

use crate::secret::Redactor;

/// Why a task could not be done.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskFailure(pub(crate) TaskError);

impl TaskFailure {
    /// An error that another attempt may not meet: something was busy, away or slow.
    #[must_use]
    pub fn retryable(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(code.into(), message.into(), true)
    }

    /// An error that every attempt would meet: the input is wrong, the answer is no.
    #[must_use]
    pub fn fatal(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(code.into(), message.into(), false)
    }

    /// Asks for a pause of at least this long before the next attempt.
    #[must_use]
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.0.retry_after = Some(pause.as_secs_f64());
        self
    }

    /// Stable and short, for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// For people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether another attempt may go better.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// The same without secrets.
    pub(crate) fn redacted(mut self, redactor: &Redactor) -> Self {
        self.0.message = redactor.text(&self.0.message);
        self
    }

    fn new(code: String, message: String, retryable: bool) -> Self {
        Self(TaskError { code, message, retryable, retry_after: None })
    }
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)
    }
}

/// Any error becomes a retryable failure with the code `error`, so that `?` works in handlers; say
/// [`TaskFailure::fatal`] where trying again is of no use.
impl<E: std::error::Error> From<E> for TaskFailure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::retryable(code::ERROR, message)
    }
}

pub(crate) fn timeout(message: impl Into<String>) -> TaskFailure {
    TaskFailure::retryable(code::TIMEOUT, message)
}
