//! NATS subjects: the public contract, as one type that is built and parsed here only.
//!
//! Everything that belongs to a run has one form, so that one filter serves a shard and one prefix a run:
//! `<namespace>.<kind>.<verb>.<name>.<lane>.<shard>.<run>[.<rest>]`, with `-` where a token does not apply.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::id::{Attempt, RunId, canonical_uuid};
use crate::name::{
    AgentId, Capability, Lane, NameError, Namespace, SignalId, TaskId, Timer, WorkflowName, number,
};

/// Token that stands where a name does not apply.
const NONE: &str = "-";
/// Most tokens that a subject has behind the namespace: those of `task.assigned` and `task.released`.
const MAX_TOKENS: usize = 9;
/// Room for most subjects, so that one is written without growing: a run id and the words take 80 bytes.
const USUAL_BYTES: usize = 160;

/// A subject that is none of the mesh's. Reading it again does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// The first token is not the namespace.
    #[error("subject {subject:?} is outside the namespace {namespace:?}")]
    Namespace {
        /// The subject.
        subject: String,
        /// The namespace that was expected.
        namespace: String,
    },
    /// The kind and verb are not known, or the number of tokens is not theirs.
    #[error("subject {subject:?} is of no known kind: see the subject table for its form")]
    Unknown {
        /// The subject.
        subject: String,
    },
    /// A token is not what it should be.
    #[error("subject {subject:?}: {source}")]
    Token {
        /// The subject.
        subject: String,
        /// What is wrong with the token.
        source: NameError,
    },
}

macro_rules! verbs {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$variant_doc])* $variant,)* }

        impl $type {
            /// Every verb of the kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The subject token.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

verbs! {
    /// What happened to a run.
    WorkflowVerb {
        /// It began: the request was accepted.
        Started => "started",
        /// It ended with an output.
        Completed => "completed",
        /// It ended with an error.
        Failed => "failed",
        /// It was ended by a cancel signal.
        Cancelled => "cancelled",
    }
}

verbs! {
    /// What happened to a run that goes on.
    PauseVerb {
        /// Nothing new is begun until it is resumed.
        Paused => "paused",
        /// It goes on after a pause.
        Resumed => "resumed",
    }
}

verbs! {
    /// What happened to an attempt of a task.
    TaskVerb {
        /// Work for an agent.
        Created => "created",
        /// An agent did it.
        Completed => "completed",
        /// An agent could not do it, or the orchestrator gave it up.
        Failed => "failed",
        /// An agent tells how far it is (core NATS, not stored).
        Progress => "progress",
        /// Nobody waits for it any more (core NATS, not stored).
        Cancelled => "cancelled",
    }
}

verbs! {
    /// What happened to an agent.
    AgentVerb {
        /// It started and takes work.
        Registered => "registered",
        /// It stopped in order.
        Deregistered => "deregistered",
        /// It is alive (core NATS, not stored).
        Heartbeat => "heartbeat",
    }
}

/// One attempt of a task, with where its work is queued.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// Who can do it.
    pub capability: Capability,
    /// Which queue it waits in.
    pub lane: Lane,
    /// The run it belongs to.
    pub run: RunId,
    /// The task.
    pub task: TaskId,
    /// Which try.
    pub attempt: Attempt,
}

/// A subject of the mesh.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the fields are the tokens of the subject that each variant documents")]
pub enum Subject {
    /// `workflow.requested.<workflow>`
    WorkflowRequested { workflow: WorkflowName },
    /// `task.requested.<capability>`
    TaskRequested { capability: Capability },
    /// `workflow.<verb>.<workflow>.-.<shard>.<run>`; no workflow for a directly requested task
    Workflow { verb: WorkflowVerb, workflow: Option<WorkflowName>, run: RunId },
    /// `workflow.called.<workflow>.-.<shard>.<run>.<task>.<attempt>`: the run, task and attempt are those that call.
    Called { workflow: WorkflowName, run: RunId, task: TaskId, attempt: Attempt },
    /// `workflow.signalled.<workflow or ->.-.<shard>.<run>.<signal>.<id>`
    Signalled { workflow: Option<WorkflowName>, run: RunId, signal: SignalId, id: SignalId },
    /// `workflow.<verb>.<workflow or ->.-.<shard>.<run>.<which pause, from 1>`
    Pause { verb: PauseVerb, workflow: Option<WorkflowName>, run: RunId, number: u64 },
    /// `workflow.checkpointed.<workflow or ->.-.<shard>.<run>.<sequence of the last event that it knows>`
    Checkpointed { workflow: Option<WorkflowName>, run: RunId, upto: u64 },
    /// `task.<verb>.<capability>.<lane>.<shard>.<run>.<task>.<attempt>`
    Task { verb: TaskVerb, key: TaskKey },
    /// `task.assigned.<capability>.<lane>.<shard>.<run>.<task>.<attempt>.<delivery>`
    TaskAssigned { key: TaskKey, delivery: u64 },
    /// `task.released.<capability>.<lane>.<shard>.<run>.<task>.<attempt>.<delivery>`
    TaskReleased { key: TaskKey, delivery: u64 },
    /// `task.routed.-.-.<shard>.<run>.<task>.<attempt>`
    TaskRouted { run: RunId, task: TaskId, attempt: Attempt },
    /// `timer.set.-.-.<shard>.<run>.<timer>`
    TimerSet { run: RunId, timer: Timer },
    /// `timer.due.-.-.<shard>.<run>.<timer>`
    TimerDue { run: RunId, timer: Timer },
    /// `timer.fired.-.-.<shard>.<run>.<timer>`
    TimerFired { run: RunId, timer: Timer },
    /// `agent.<verb>.<agent>`
    Agent { verb: AgentVerb, agent: AgentId },
    /// `request.rejected.<workflow or capability, or ->.<uuid of the run it would have been>`
    RequestRejected { name: Option<WorkflowName>, id: Uuid },
    /// `dead.<stream>.<reason>`
    Dead { stream: SignalId, reason: SignalId },
    /// `history.<workflow>.<outcome>.<shard>.<run>`
    History { workflow: Option<WorkflowName>, outcome: WorkflowVerb, run: RunId },
    /// `history.late.<workflow>.<outcome>.<shard>.<run>`
    LateHistory { workflow: Option<WorkflowName>, outcome: WorkflowVerb, run: RunId },
}

impl Subject {
    /// The type of the event on this subject, its first words: `task.completed`.
    #[must_use]
    pub fn event_type(&self) -> String {
        let (kind, verb) = self.words();
        if verb.is_empty() { kind.to_owned() } else { format!("{kind}.{verb}") }
    }

    /// The same out of the subject as text in its namespace.
    pub(crate) fn type_in<'a>(&self, namespace: &Namespace, rendered: &'a str) -> &'a str {
        let (kind, verb) = self.words();
        let begin = namespace.as_str().len() + 1;
        let length = if verb.is_empty() { kind.len() } else { kind.len() + 1 + verb.len() };
        &rendered[begin..begin + length]
    }

    /// The run that the subject belongs to, if it belongs to one.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        match self {
            Self::Workflow { run, .. }
            | Self::Called { run, .. }
            | Self::Signalled { run, .. }
            | Self::Checkpointed { run, .. }
            | Self::Pause { run, .. }
            | Self::TaskRouted { run, .. }
            | Self::TimerSet { run, .. }
            | Self::TimerDue { run, .. }
            | Self::TimerFired { run, .. }
            | Self::History { run, .. }
            | Self::LateHistory { run, .. } => Some(*run),
            Self::Task { key, .. } | Self::TaskAssigned { key, .. } | Self::TaskReleased { key, .. } => {
                Some(key.run)
            }
            Self::WorkflowRequested { .. }
            | Self::TaskRequested { .. }
            | Self::Agent { .. }
            | Self::RequestRejected { .. }
            | Self::Dead { .. } => None,
        }
    }

    /// The subject as text, in a namespace.
    #[must_use]
    pub fn render(&self, namespace: &Namespace) -> String {
        let mut text = String::with_capacity(USUAL_BYTES);
        // Writing to a string does not fail.
        let _ = self.write(&mut text, namespace);
        text
    }

    fn write(&self, out: &mut String, namespace: &Namespace) -> fmt::Result {
        use fmt::Write as _;
        let (kind, verb) = self.words();
        write!(out, "{namespace}.{kind}")?;
        if !verb.is_empty() {
            write!(out, ".{verb}")?;
        }
        match self {
            Self::WorkflowRequested { workflow } => write!(out, ".{workflow}"),
            Self::TaskRequested { capability } => write!(out, ".{capability}"),
            Self::Workflow { workflow, run, .. } => write!(out, ".{}.-.{run}", name(workflow)),
            Self::Called { workflow, run, task, attempt } => {
                write!(out, ".{workflow}.-.{run}.{task}.{attempt}")
            }
            Self::Signalled { workflow, run, signal, id } => {
                write!(out, ".{}.-.{run}.{signal}.{id}", name(workflow))
            }
            Self::Checkpointed { workflow, run, upto } => write!(out, ".{}.-.{run}.{upto}", name(workflow)),
            Self::Pause { workflow, run, number, .. } => write!(out, ".{}.-.{run}.{number}", name(workflow)),
            Self::Task { key, .. } => key.write_tail(out),
            Self::TaskAssigned { key, delivery } | Self::TaskReleased { key, delivery } => {
                key.write_tail(out)?;
                write!(out, ".{delivery}")
            }
            Self::TaskRouted { run, task, attempt } => write!(out, ".-.-.{run}.{task}.{attempt}"),
            Self::TimerSet { run, timer }
            | Self::TimerDue { run, timer }
            | Self::TimerFired { run, timer } => write!(out, ".-.-.{run}.{timer}"),
            Self::Agent { agent, .. } => write!(out, ".{agent}"),
            Self::RequestRejected { name: target, id } => write!(out, ".{}.{id}", name(target)),
            Self::Dead { stream, reason } => write!(out, ".{stream}.{reason}"),
            Self::History { workflow, outcome, run } | Self::LateHistory { workflow, outcome, run } => {
                write!(out, ".{}.{outcome}.{run}", name(workflow))
            }
        }
    }

    /// Reads a subject of a namespace.
    ///
    /// # Errors
    /// [`SubjectError`] if it is outside the namespace, of no known kind, or has a token that is not allowed.
    pub fn parse(namespace: &Namespace, subject: &str) -> Result<Self, SubjectError> {
        let rest =
            subject.strip_prefix(namespace.as_str()).and_then(|rest| rest.strip_prefix('.')).ok_or_else(
                || SubjectError::Namespace { subject: subject.to_owned(), namespace: namespace.to_string() },
            )?;
        let unknown = || SubjectError::Unknown { subject: subject.to_owned() };
        let mut tokens = [""; MAX_TOKENS];
        let mut count = 0;
        for token in rest.split('.') {
            *tokens.get_mut(count).ok_or_else(unknown)? = token;
            count += 1;
        }
        match parse_tokens(&tokens[..count]) {
            Ok(parsed) => parsed.ok_or_else(unknown),
            Err(source) => Err(SubjectError::Token { subject: subject.to_owned(), source }),
        }
    }

    /// The run that a subject of the general form belongs to, whatever its kind and verb: newer ones, too.
    #[must_use]
    pub fn run_of(namespace: &Namespace, subject: &str) -> Option<RunId> {
        let rest = subject.strip_prefix(namespace.as_str())?.strip_prefix('.')?;
        let mut tokens = rest.split('.').skip(4);
        RunId::from_tokens(tokens.next()?, tokens.next()?).ok()
    }

    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::WorkflowRequested { .. } => ("workflow", "requested"),
            Self::TaskRequested { .. } => ("task", "requested"),
            Self::Workflow { verb, .. } => ("workflow", verb.as_str()),
            Self::Called { .. } => ("workflow", "called"),
            Self::Signalled { .. } => ("workflow", "signalled"),
            Self::Pause { verb, .. } => ("workflow", verb.as_str()),
            Self::Checkpointed { .. } => ("workflow", "checkpointed"),
            Self::Task { verb, .. } => ("task", verb.as_str()),
            Self::TaskAssigned { .. } => ("task", "assigned"),
            Self::TaskReleased { .. } => ("task", "released"),
            Self::TaskRouted { .. } => ("task", "routed"),
            Self::TimerSet { .. } => ("timer", "set"),
            Self::TimerDue { .. } => ("timer", "due"),
            Self::TimerFired { .. } => ("timer", "fired"),
            Self::Agent { verb, .. } => ("agent", verb.as_str()),
            Self::RequestRejected { .. } => ("request", "rejected"),
            Self::Dead { .. } => ("dead", ""),
            Self::History { .. } => ("history", ""),
            Self::LateHistory { .. } => ("history", "late"),
        }
    }
}

impl TaskKey {
    /// The subject of a verb for this attempt.
    #[must_use]
    pub fn subject(&self, verb: TaskVerb) -> Subject {
        Subject::Task { verb, key: self.clone() }
    }

    /// The subjects on which deliveries of this attempt are released, as a filter.
    #[must_use]
    pub fn released(&self, namespace: &Namespace) -> String {
        let mut filter = format!("{namespace}.task.released");
        // Writing to a string does not fail.
        let _ = self.write_tail(&mut filter);
        filter.push_str(".*");
        filter
    }

    fn write_tail(&self, out: &mut String) -> fmt::Result {
        use fmt::Write as _;
        let Self { capability, lane, run, task, attempt } = self;
        write!(out, ".{capability}.{lane}.{run}.{task}.{attempt}")
    }
}

fn name(workflow: &Option<WorkflowName>) -> &str {
    workflow.as_ref().map_or(NONE, WorkflowName::as_str)
}

fn optional(token: &str) -> Result<Option<WorkflowName>, NameError> {
    if token == NONE { Ok(None) } else { token.parse().map(Some) }
}

fn task_key(tokens: &[&str]) -> Result<Option<TaskKey>, NameError> {
    let [capability, lane, shard, uuid, task, attempt] = tokens else { return Ok(None) };
    Ok(Some(TaskKey {
        capability: capability.parse()?,
        lane: Lane::from_str(lane)?,
        run: RunId::from_tokens(shard, uuid)?,
        task: task.parse()?,
        attempt: attempt.parse()?,
    }))
}

fn parse_tokens(tokens: &[&str]) -> Result<Option<Subject>, NameError> {
    let run = RunId::from_tokens;
    Ok(Some(match tokens {
        ["workflow", "requested", workflow] => Subject::WorkflowRequested { workflow: workflow.parse()? },
        ["task", "requested", capability] => Subject::TaskRequested { capability: capability.parse()? },
        ["workflow", "called", workflow, NONE, shard, uuid, task, attempt] => Subject::Called {
            workflow: workflow.parse()?,
            run: run(shard, uuid)?,
            task: task.parse()?,
            attempt: attempt.parse()?,
        },
        ["workflow", "signalled", workflow, NONE, shard, uuid, signal, id] => Subject::Signalled {
            workflow: optional(workflow)?,
            run: run(shard, uuid)?,
            signal: signal.parse()?,
            id: id.parse()?,
        },
        ["workflow", "checkpointed", workflow, NONE, shard, uuid, upto] => {
            let Some(upto) = number(upto) else { return Ok(None) };
            Subject::Checkpointed { workflow: optional(workflow)?, run: run(shard, uuid)?, upto }
        }
        ["workflow", verb, workflow, NONE, shard, uuid, pause] => {
            let (Some(verb), Some(number)) = (PauseVerb::parse(verb), number(pause)) else { return Ok(None) };
            Subject::Pause { verb, workflow: optional(workflow)?, run: run(shard, uuid)?, number }
        }
        ["workflow", verb, workflow, NONE, shard, uuid] => {
            let Some(verb) = WorkflowVerb::parse(verb) else { return Ok(None) };
            Subject::Workflow { verb, workflow: optional(workflow)?, run: run(shard, uuid)? }
        }
        ["task", "routed", NONE, NONE, shard, uuid, task, attempt] => {
            Subject::TaskRouted { run: run(shard, uuid)?, task: task.parse()?, attempt: attempt.parse()? }
        }
        ["task", verb @ ("assigned" | "released"), key @ .., delivery] => {
            let (Some(key), Some(delivery)) = (task_key(key)?, number(delivery)) else { return Ok(None) };
            match *verb {
                "assigned" => Subject::TaskAssigned { key, delivery },
                _ => Subject::TaskReleased { key, delivery },
            }
        }
        ["task", verb, key @ ..] => {
            let Some(verb) = TaskVerb::parse(verb) else { return Ok(None) };
            let Some(key) = task_key(key)? else { return Ok(None) };
            Subject::Task { verb, key }
        }
        ["timer", verb, NONE, NONE, shard, uuid, timer] => {
            let (run, timer) = (run(shard, uuid)?, timer.parse()?);
            match *verb {
                "set" => Subject::TimerSet { run, timer },
                "due" => Subject::TimerDue { run, timer },
                "fired" => Subject::TimerFired { run, timer },
                _ => return Ok(None),
            }
        }
        ["agent", verb, agent] => {
            let Some(verb) = AgentVerb::parse(verb) else { return Ok(None) };
            Subject::Agent { verb, agent: agent.parse()? }
        }
        ["request", "rejected", target, id] => {
            let Some(id) = canonical_uuid(id) else { return Ok(None) };
            Subject::RequestRejected { name: optional(target)?, id }
        }
        ["dead", stream, reason] => Subject::Dead { stream: stream.parse()?, reason: reason.parse()? },
        ["history", workflow, outcome, shard, uuid] => {
            let Some(outcome) = WorkflowVerb::parse(outcome) else { return Ok(None) };
            Subject::History { workflow: optional(workflow)?, outcome, run: run(shard, uuid)? }
        }
        ["history", "late", workflow, outcome, shard, uuid] => {
            let Some(outcome) = WorkflowVerb::parse(outcome) else { return Ok(None) };
            Subject::LateHistory { workflow: optional(workflow)?, outcome, run: run(shard, uuid)? }
        }
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests;
