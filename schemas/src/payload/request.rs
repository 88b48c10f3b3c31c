use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::RequestId;

/// Data of `request.rejected`: a request that starts no run, with every reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestRejected {
    /// The subject it came on.
    pub subject: String,
    /// Which request.
    pub request: RequestId,
    /// Stable and short, for programs: `unknown_workflow`, `invalid_input`, `malformed`…
    pub code: String,
    /// Each thing that is wrong with it, for people.
    pub reasons: Vec<String>,
}

/// Data of `timer.set`, `timer.due` and `timer.fired`: a wait that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimerFired {
    /// When it was to end.
    pub due: DateTime<Utc>,
}

/// Attributes of a dead letter. The letter is a CloudEvent in binary mode: its body is the original message,
/// byte by byte, and these are its attributes, beside the original's own headers. Attributes that the original has in headers
/// stand there with `original-` before their names: `original-ce-id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// Subject that the message was found on (attribute `subject`).
    pub subject: String,
    /// The stream it was found in, also in the letter's subject (extension `stream`).
    pub stream: String,
    /// Stable and short, also in the letter's subject (extension `reason`).
    pub reason: String,
    /// What exactly is wrong, for people (extension `error`).
    pub error: String,
    /// Sequence of the message in its stream (extension `sequence`, which is text in a header).
    pub sequence: u64,
    /// When the message was stored there (extension `storetime`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storetime: Option<DateTime<Utc>>,
}
