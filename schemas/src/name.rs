//! Names that are one NATS subject token each.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest name in bytes: long enough for any readable name, short enough that the longest subject stays far
/// below what NATS allows.
const MAX_NAME_BYTES: usize = 64;

/// A text that cannot be used as the name it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {what}: {rule}")]
pub struct NameError {
    /// What the text was meant to name.
    pub what: &'static str,
    /// The text as given.
    pub text: String,
    /// The rule that it breaks, in words.
    pub rule: &'static str,
}

const NAME_RULE: &str =
    "use 1 to 64 characters of a-z, 0-9, '_' and '-', beginning with a letter, a digit or '_'";
const TASK_RULE: &str = "use at most 64 characters of a-z, 0-9 and '_', beginning with a letter; what belongs to a task \
                         follows it behind a ':', by its id or by its number";

/// Longest id of a task that belongs to others, with all that it belongs to.
const MAX_TASK_BYTES: usize = 255;

fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES
        && text.bytes().next().is_some_and(|first| first != b'-')
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

fn is_task(text: &str) -> bool {
    let is_id = |id: &str| {
        id.len() <= MAX_NAME_BYTES
            && id.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
            && id.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    let mut parts = text.split(':');
    text.len() <= MAX_TASK_BYTES
        && parts.next().is_some_and(is_id)
        && parts.all(|part| is_id(part) || number::<u32>(part).is_some())
}

/// Reads a number in the one form that we write, without sign or leading zeros: two spellings of a number would
/// be two subjects for one fact.
pub(crate) fn number<T: FromStr>(text: &str) -> Option<T> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $valid:expr, $rule:expr, $max:literal, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        // The conversions would hide the pattern from the schema.
        #[schemars(!try_from, !into)]
        pub struct $type(#[schemars(regex(pattern = $pattern), length(max = $max))] String);

        impl $type {
            /// Checks the text and takes it as a name.
            ///
            /// # Errors
            /// [`NameError`] with the rule that the text breaks.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                if $valid(&text) { Ok(Self(text)) } else { Err(NameError { what: $what, text, rule: $rule }) }
            }

            /// The name as text: one token of a NATS subject.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $type {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }
    };
}

name!(
    /// The first token of every subject (default `mesh`); keeps meshes on one NATS account apart.
    Namespace, "namespace", is_name, NAME_RULE, 64, r"^[a-z0-9_][a-z0-9_-]{0,63}$"
);
name!(
    /// The name of a workflow.
    WorkflowName, "workflow name", is_name, NAME_RULE, 64, r"^[a-z0-9_][a-z0-9_-]{0,63}$"
);
name!(
    /// What an agent can do, and what a task asks for.
    Capability, "capability", is_name, NAME_RULE, 64, r"^[a-z0-9_][a-z0-9_-]{0,63}$"
);

/// The names of workflows and of capabilities have one form: a run that does a task stands where its agent would.
impl From<&WorkflowName> for Capability {
    fn from(workflow: &WorkflowName) -> Self {
        Self(workflow.0.clone())
    }
}

name!(
    /// The name of a secret, which agents know the value of.
    SecretName, "secret name", is_name, NAME_RULE, 64, r"^[a-z0-9_][a-z0-9_-]{0,63}$"
);
name!(
    /// One running agent process.
    AgentId, "agent id", is_name, NAME_RULE, 64, r"^[a-z0-9_][a-z0-9_-]{0,63}$"
);
name!(
    /// The kind of a signal, what tells apart two signals of one kind to one run, and the stream and reason of a
    /// dead letter: any other token of a subject.
    SignalId, "signal id", is_name, NAME_RULE, 64, r"^[a-z0-9_][a-z0-9_-]{0,63}$"
);
name!(
    /// A task of a workflow. What belongs to a task follows it behind a `:`: the tasks of a group by their ids, items,
    /// iterations and cases by their numbers.
    TaskId, "task id", is_task, TASK_RULE, 255, r"^[a-z][a-z0-9_]*(:([a-z][a-z0-9_]*|0|[1-9][0-9]*))*$"
);

impl Default for Namespace {
    fn default() -> Self {
        Self("mesh".to_owned())
    }
}

impl TaskId {
    /// The id without the numbers of items, iterations and cases: all `each:3:lint` are the task `each:lint`.
    #[must_use]
    pub fn without_numbers(&self) -> Self {
        let ids: Vec<&str> = self.parts().filter(|part| number::<u32>(part).is_none()).collect();
        Self(ids.join(":"))
    }

    /// The id of a task of a group.
    #[must_use]
    pub fn within(&self, group: Option<&Self>) -> Self {
        group.map_or_else(|| self.clone(), |group| Self(format!("{group}:{self}")))
    }

    /// The ids and numbers that it is made of, from the outermost in.
    #[must_use]
    pub fn parts(&self) -> std::str::Split<'_, char> {
        self.0.split(':')
    }
}

impl Namespace {
    /// The name of one of the namespace's streams or buckets: `mesh` and `EVENTS` give `MESH_EVENTS`.
    #[must_use]
    pub fn stream(&self, name: &str) -> String {
        format!("{}_{name}", self.0.to_uppercase())
    }

    /// The bucket of objects: `MESH_OBJECTS`.
    #[must_use]
    pub fn object_bucket(&self) -> String {
        self.stream("OBJECTS")
    }
}

/// The queue of a capability that a task waits in.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Served first.
    High,
    /// Where every task goes unless something else is said.
    #[default]
    Normal,
    /// Served last.
    Low,
    /// For one agent only.
    To(AgentId),
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::High => f.write_str("high"),
            Self::Normal => f.write_str("normal"),
            Self::Low => f.write_str("low"),
            Self::To(agent) => write!(f, "to-{agent}"),
        }
    }
}

impl FromStr for Lane {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            "high" => Ok(Self::High),
            "normal" => Ok(Self::Normal),
            "low" => Ok(Self::Low),
            _ => {
                text.strip_prefix("to-").and_then(|agent| agent.parse().ok()).map(Self::To).ok_or_else(|| {
                    NameError {
                        what: "lane",
                        text: text.to_owned(),
                        rule: "use high, normal, low or to-<agent>",
                    }
                })
            }
        }
    }
}

/// A wait of a run that ends by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The end of the time that the whole run may take.
    Deadline,
    /// The end of the time for what is done when the end of the run is decided.
    Finally,
    /// The end of the time that a join waits for further tasks, once it has enough of them.
    Grace(TaskId),
    /// The end of the time that a join waits for enough tasks.
    Join(TaskId),
    /// The end of the pause after a failed attempt.
    Retry {
        /// The task to try again.
        task: TaskId,
        /// The attempt that failed.
        after: crate::Attempt,
    },
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline => f.write_str("deadline"),
            Self::Finally => f.write_str("finally"),
            Self::Grace(task) => write!(f, "grace-{task}"),
            Self::Join(task) => write!(f, "join-{task}"),
            Self::Retry { task, after } => write!(f, "retry-{task}-{after}"),
        }
    }
}

impl FromStr for Timer {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = || NameError {
            what: "timer",
            text: text.to_owned(),
            rule: "use 'deadline', 'finally', 'grace-<task>', 'join-<task>' or 'retry-<task>-<attempt>'",
        };
        if text == "deadline" {
            return Ok(Self::Deadline);
        }
        if text == "finally" {
            return Ok(Self::Finally);
        }
        if let Some(task) = text.strip_prefix("grace-") {
            return task.parse().map(Self::Grace).map_err(|_| error());
        }
        if let Some(task) = text.strip_prefix("join-") {
            return task.parse().map(Self::Join).map_err(|_| error());
        }
        // A task id has no '-', so the text can be split in one way only.
        let (task, after) =
            text.strip_prefix("retry-").and_then(|rest| rest.split_once('-')).ok_or_else(error)?;
        Ok(Self::Retry {
            task: task.parse().map_err(|_| error())?,
            after: after.parse().map_err(|_| error())?,
        })
    }
}

#[cfg(test)]
mod tests;
