use mesh_schemas::MAX_DATA_BYTES;
use mesh_schemas::payload::code;

/// Why a value could not be computed. The same expression on the same data always fails in the same way, so
/// repeating it is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// An expression failed.
    #[error("{message}{} in ${{{expression}}}", place(at))]
    Failed {
        /// Where in the template: `.scores[0]`; empty for the whole.
        at: String,
        /// The text of the expression.
        expression: String,
        /// What is wrong.
        message: String,
    },
    /// The value is too large to be sent.
    #[error("the value is larger than {MAX_DATA_BYTES} bytes as JSON{}", place(at))]
    TooLarge {
        /// Where in the template: `.scores[0]`; empty for the whole.
        at: String,
    },
}

impl ExpressionError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Failed { .. } => code::EXPRESSION,
            Self::TooLarge { .. } => code::PAYLOAD_TOO_LARGE,
        }
    }
}

fn place(at: &str) -> String {
    if at.is_empty() { String::new() } else { format!(" at {at}") }
}

/// Why the evaluation of one expression ended.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// In words. `&&`, `||`, `all` and `exists` may go on.
    Error(String),
    /// The work is more than may be done. Nothing goes on.
    Cost,
    /// The result is too large.
    TooLarge,
}

impl Fault {
    pub(super) fn error<T>(message: impl Into<String>) -> Result<T, Self> {
        Err(Self::Error(message.into()))
    }
}
