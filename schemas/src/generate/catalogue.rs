//! Every type of event, once: its subject, where it is kept, who writes it and what it carries.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::payload::{
    AgentDeregistered, AgentRegistered, CancelSignal, History, RequestRejected, TaskAssigned, TaskCompleted,
    TaskCreated, TaskFailed, TaskProgress, TaskReleased, TaskRouted, TimerFired, WorkflowCalled,
    WorkflowCancelled, WorkflowCheckpointed, WorkflowCompleted, WorkflowFailed, WorkflowPaused,
    WorkflowResumed, WorkflowStarted,
};

/// A type of event.
#[derive(Debug, Clone, Copy)]
pub struct EventType {
    /// The `type` attribute: the first words of the subject.
    pub name: &'static str,
    /// The subject behind the namespace, with `{parameter}` for what varies; see [`PARAMETERS`].
    pub subject: &'static str,
    /// The stream that keeps it, without the namespace's prefix; none for core NATS, which keeps nothing.
    pub stream: Option<&'static str>,
    /// Who writes it.
    pub writers: &'static [Writer],
    /// What it says.
    pub description: &'static str,
    /// What it carries.
    pub body: Body,
    /// What those outside the orchestrator do with it.
    pub operation: Option<(Action, Role)>,
}

/// What writes an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// Whoever wants something done.
    Anyone,
    /// An agent.
    Agent,
    /// An orchestrator.
    Orchestrator,
    /// The NATS server, from a schedule.
    Nats,
}

impl Writer {
    /// The name in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Agent => "agents",
            Self::Orchestrator => "orchestrator",
            Self::Nats => "NATS (schedule)",
        }
    }
}

/// What a message has in its body.
#[derive(Debug, Clone, Copy)]
pub enum Body {
    /// A CloudEvent with the input of a run or task, any JSON, as data; or that input alone.
    Input,
    /// A CloudEvent with data of this schema.
    Event(fn(&mut SchemaGenerator) -> Schema),
    /// A CloudEvent with data of this schema, or that data alone.
    EventOrBare(fn(&mut SchemaGenerator) -> Schema),
    /// The message that was given up, byte by byte; what there is to say about it stands in the headers.
    Original,
}

/// What is done with a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Messages are sent to it.
    Send,
    /// Messages are received from it.
    Receive,
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An agent.
    Agent,
    /// A system that asks for work or looks on.
    Client,
}

impl Role {
    /// The name in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Client => "client",
        }
    }
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The type of the event on a subject, as [`Subject::event_type`](crate::Subject::event_type), but of any subject: its first two
/// words behind the namespace.
#[must_use]
pub fn event_type(subject: &str) -> String {
    let words: Vec<&str> = subject.split('.').skip(1).take(2).collect();
    words.join(".")
}

/// The form of a subject, without the namespace: with the names of the workflow, capability and lane, of which there are few,
/// and `{parameter}` for what else varies. Its first two words, if there is no type of event on it.
#[must_use]
pub fn template(subject: &str) -> String {
    let tokens: Vec<&str> = subject.split('.').skip(1).collect();
    let type_ = event_type(subject);
    let Some(event) = EVENTS.iter().find(|event| event.name == type_) else { return type_ };
    let form = event.subject.split('.').enumerate().map(|(place, form)| match form {
        "{workflow}" | "{capability}" | "{lane}" => tokens.get(place).copied().unwrap_or(form),
        _ => form,
    });
    form.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
#[test]
fn a_template_names_what_there_are_few_of() {
    let created = template("mesh.task.created.charge.normal.3.2c0b6e5e-6d1f-5f43-9d0e-6f2a3b0c9a11.pay:1.2");
    assert_eq!(created, "task.created.charge.normal.{shard}.{run}.{task}.{attempt}");
    assert_eq!(template("mesh.workflow.requested.order"), "workflow.requested.order");
    assert_eq!(template("mesh.some.thing.else"), "some.thing");
    assert_eq!(template("mesh"), "");
}

/// Every type of event there is.
pub const EVENTS: &[EventType] = &[
    EventType {
        name: "workflow.requested",
        subject: "workflow.requested.{workflow}",
        stream: Some("INBOX"),
        writers: &[Writer::Anyone],
        description: "Asks for a run of a workflow. The same `source` and `id` ask for the same run. Extensions: `config` (a JSON object \
                      as text) takes the place of values of the workflow's; `pausebefore` (ids of tasks, with commas between) \
                      pauses the run before them; `rerunof` (a run id) and `rerunfrom` (ids) do a run that has ended again in part.",
        body: Body::Input,
        operation: Some((Action::Send, Role::Client)),
    },
    EventType {
        name: "task.requested",
        subject: "task.requested.{capability}",
        stream: Some("INBOX"),
        writers: &[Writer::Anyone],
        description: "Asks for one task, without a workflow. The same `source` and `id` ask for the same task.",
        body: Body::Input,
        operation: Some((Action::Send, Role::Client)),
    },
    EventType {
        name: "workflow.called",
        subject: "workflow.called.{workflow}.-.{shard}.{run}.{task}.{attempt}",
        stream: Some("INBOX"),
        writers: &[Writer::Orchestrator],
        description: "A run asks for a run of a workflow, of which an attempt of a task of it consists.",
        body: Body::Event(schema::<WorkflowCalled>),
        operation: None,
    },
    EventType {
        name: "workflow.started",
        subject: "workflow.started.{workflow}.-.{shard}.{run}",
        stream: Some("EVENTS"),
        writers: &[Writer::Orchestrator],
        description: "A request was accepted: the first event of a run.",
        body: Body::Event(schema::<WorkflowStarted>),
        operation: Some((Action::Receive, Role::Client)),
    },
    EventType {
        name: "workflow.completed",
        subject: "workflow.completed.{workflow}.-.{shard}.{run}",
        stream: Some("EVENTS"),
        writers: &[Writer::Orchestrator],
        description: "A run ended with an output.",
        body: Body::Event(schema::<WorkflowCompleted>),
        operation: Some((Action::Receive, Role::Client)),
    },
    EventType {
        name: "workflow.failed",
        subject: "workflow.failed.{workflow}.-.{shard}.{run}",
        stream: Some("EVENTS"),
        writers: &[Writer::Orchestrator],
        description: "A run ended with an error.",
        body: Body::Event(schema::<WorkflowFailed>),
        operation: Some((Action::Receive, Role::Client)),
    },
    EventType {
        name: "workflow.cancelled",
        subject: "workflow.cancelled.{workflow}.-.{shard}.{run}",
        stream: Some("EVENTS"),
        writers: &[Writer::Orchestrator],
        description: "A run was ended by the signal `cancel`.",
        body: Body::Event(schema::<WorkflowCancelled>),
        operation: Some((Action::Receive, Role::Client)),
    },
    EventType {
        name: "workflow.signalled",
        subject: "workflow.signalled.{workflow}.-.{shard}.{run}.{signal}.{id}",
        stream: Some("EVENTS"),
        writers: &[Writer::Anyone],
        description: "Tells a run something: `cancel` ends it; `pause` has it begin nothing new until `resume`; `retry` has \
                      work tried again that failed and paused the run; `check` has it looked at again and is always \
                      safe. The body may be empty.",
        body: Body::EventOrBare(schema::<CancelSignal>),
        operation: Some((Action::Send, Role::Client)),
    },
    EventType {
        name: "workflow.paused",
        subject: "workflow.paused.{workflow}.-.{shard}.{run}.{pause}",
        stream: Some("EVENTS"),
        writers: &[Writer::Orchestrator],
        description: "The run begins nothing new until it is resumed. What agents are at goes on.",
        body: Body::Event(schema::<WorkflowPaused>),
        operation: Some((Action::Receive, Role::Client)),
    },
    EventType {
        name: "workflow.resumed",
        subject: "workflow.resumed.{workflow}.-.{shard}.{run}.{pause}",
        stream: Some("EVENTS"),
        writers: &[Writer::Orchestrator],
        description: "The run goes on after a pause.",
        body: Body::Event(schema::<WorkflowResumed>),
        operation: Some((Action::Receive, Role::Client)),
    },
    EventType {
        name: "workflow.checkpointed",
        subject: "workflow.checkpointed.{workflow}.-.{shard}.{run}.{upto}",
        stream: Some("EVENTS"),
        writers: &[Writer::Orchestrator],
        description: "How a long run stood after some event, so that the events up to there need not be read again. \
                      A cache of the log: who leaves it out of account sees the same run. A newer one replaces it.",
        body: Body::Event(schema::<WorkflowCheckpointed>),
        operation: None,
    },
    EventType {
        name: "task.created",
        subject: "task.created.{capability}.{lane}.{shard}.{run}.{task}.{attempt}",
        stream: Some("TASKS"),
        writers: &[Writer::Orchestrator],
        description: "Work for an agent: one attempt of a task.",
        body: Body::Event(schema::<TaskCreated>),
        operation: Some((Action::Receive, Role::Agent)),
    },
    EventType {
        name: "task.completed",
        subject: "task.completed.{capability}.{lane}.{shard}.{run}.{task}.{attempt}",
        stream: Some("EVENTS"),
        writers: &[Writer::Agent],
        description: "An attempt went well. The first outcome of an attempt counts.",
        body: Body::EventOrBare(schema::<TaskCompleted>),
        operation: Some((Action::Send, Role::Agent)),
    },
    EventType {
        name: "task.failed",
        subject: "task.failed.{capability}.{lane}.{shard}.{run}.{task}.{attempt}",
        stream: Some("EVENTS"),
        writers: &[Writer::Agent, Writer::Orchestrator],
        description: "An attempt did not go well, or was given up. The first outcome of an attempt counts.",
        body: Body::EventOrBare(schema::<TaskFailed>),
        operation: Some((Action::Send, Role::Agent)),
    },
    EventType {
        name: "task.assigned",
        subject: "task.assigned.{capability}.{lane}.{shard}.{run}.{task}.{attempt}.{delivery}",
        stream: Some("NOTES"),
        writers: &[Writer::Agent],
        description: "An agent took an attempt. Advisory: nothing is decided by it.",
        body: Body::Event(schema::<TaskAssigned>),
        operation: Some((Action::Send, Role::Agent)),
    },
    EventType {
        name: "task.routed",
        subject: "task.routed.-.-.{shard}.{run}.{task}.{attempt}",
        stream: Some("EVENTS"),
        writers: &[Writer::Orchestrator],
        description: "How many items of a loop are under way at a time, where that depends on what agents could take on. \
                      The first that is stored counts.",
        body: Body::Event(schema::<TaskRouted>),
        operation: None,
    },
    EventType {
        name: "task.released",
        subject: "task.released.{capability}.{lane}.{shard}.{run}.{task}.{attempt}.{delivery}",
        stream: Some("NOTES"),
        writers: &[Writer::Agent],
        description: "An agent gave an attempt back for others to do, as it stops or does not know its schema: the \
                      delivery does not count towards poison.",
        body: Body::Event(schema::<TaskReleased>),
        operation: Some((Action::Send, Role::Agent)),
    },
    EventType {
        name: "task.progress",
        subject: "task.progress.{capability}.{lane}.{shard}.{run}.{task}.{attempt}",
        stream: None,
        writers: &[Writer::Agent],
        description: "How far an agent is with an attempt.",
        body: Body::Event(schema::<TaskProgress>),
        operation: Some((Action::Send, Role::Agent)),
    },
    EventType {
        name: "task.cancelled",
        subject: "task.cancelled.{capability}.{lane}.{shard}.{run}.{task}.{attempt}",
        stream: None,
        writers: &[Writer::Orchestrator],
        description: "Nobody waits for an attempt any more: the agent that is at it may stop. Says what was stored as \
                      its outcome.",
        body: Body::Event(schema::<TaskFailed>),
        operation: Some((Action::Receive, Role::Agent)),
    },
    EventType {
        name: "timer.set",
        subject: "timer.set.-.-.{shard}.{run}.{timer}",
        stream: Some("INBOX"),
        writers: &[Writer::Orchestrator],
        description: "A run waits: a schedule that NATS keeps until it is due.",
        body: Body::Event(schema::<TimerFired>),
        operation: None,
    },
    EventType {
        name: "timer.due",
        subject: "timer.due.-.-.{shard}.{run}.{timer}",
        stream: Some("INBOX"),
        writers: &[Writer::Nats],
        description: "A schedule came due: NATS copies the body of `timer.set`, attributes included.",
        body: Body::Event(schema::<TimerFired>),
        operation: None,
    },
    EventType {
        name: "timer.fired",
        subject: "timer.fired.-.-.{shard}.{run}.{timer}",
        stream: Some("EVENTS"),
        writers: &[Writer::Orchestrator],
        description: "A wait of a run is over: `timer.due`, relayed into the log.",
        body: Body::Event(schema::<TimerFired>),
        operation: Some((Action::Receive, Role::Client)),
    },
    EventType {
        name: "agent.registered",
        subject: "agent.registered.{agent}",
        stream: Some("NOTES"),
        writers: &[Writer::Agent],
        description: "An agent started and takes work.",
        body: Body::Event(schema::<AgentRegistered>),
        operation: Some((Action::Send, Role::Agent)),
    },
    EventType {
        name: "agent.deregistered",
        subject: "agent.deregistered.{agent}",
        stream: Some("NOTES"),
        writers: &[Writer::Agent],
        description: "An agent stopped in order.",
        body: Body::Event(schema::<AgentDeregistered>),
        operation: Some((Action::Send, Role::Agent)),
    },
    EventType {
        name: "agent.heartbeat",
        subject: "agent.heartbeat.{agent}",
        stream: None,
        writers: &[Writer::Agent],
        description: "An agent is alive.",
        body: Body::Event(schema::<AgentRegistered>),
        operation: Some((Action::Send, Role::Agent)),
    },
    EventType {
        name: "request.rejected",
        subject: "request.rejected.{target}.{uuid}",
        stream: Some("NOTES"),
        writers: &[Writer::Orchestrator],
        description: "A request starts no run, with every reason.",
        body: Body::Event(schema::<RequestRejected>),
        operation: Some((Action::Receive, Role::Client)),
    },
    EventType {
        name: "dead",
        subject: "dead.{stream}.{reason}",
        stream: Some("DEAD"),
        writers: &[Writer::Agent, Writer::Orchestrator],
        description: "A dead letter: a message that could not be dealt with, as it was found, with the reason.",
        body: Body::Original,
        operation: Some((Action::Receive, Role::Client)),
    },
    EventType {
        name: "history",
        subject: "history.{workflow}.{outcome}.{shard}.{run}",
        stream: Some("HISTORY"),
        writers: &[Writer::Orchestrator],
        description: "What happened in a run that has ended, or a part of it: its events as they stood in the log, which \
                      they are removed from after this. Each piece has a `link`, a hash of itself and of the link before it.",
        body: Body::Event(schema::<History>),
        operation: Some((Action::Receive, Role::Client)),
    },
    EventType {
        name: "history.late",
        subject: "history.late.{workflow}.{outcome}.{shard}.{run}",
        stream: Some("HISTORY"),
        writers: &[Writer::Orchestrator],
        description: "An event that came after its run was archived. Nothing follows from it.",
        body: Body::Event(schema::<History>),
        operation: Some((Action::Receive, Role::Client)),
    },
];

/// A part of a subject that varies.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name in [`EventType::subject`].
    pub name: &'static str,
    /// What stands there.
    pub description: &'static str,
    /// One value that it may have.
    pub example: &'static str,
    /// Every value that it may have, if they can be listed.
    pub values: &'static [&'static str],
}

const fn parameter(name: &'static str, example: &'static str, description: &'static str) -> Parameter {
    Parameter { name, description, example, values: &[] }
}

/// Every parameter of the subjects. Each is one token.
pub const PARAMETERS: &[Parameter] = &[
    parameter("workflow", "merchant-onboarding", "Name of the workflow; `-` in a run of one requested task."),
    parameter("capability", "risk", "What an agent must be able to do."),
    parameter(
        "lane",
        "normal",
        "The queue of the capability: `high`, `normal`, `low`, or `to-<agent>` for one agent.",
    ),
    parameter("shard", "3", "First part of the run id: the shard, a number from 0."),
    parameter("run", "2b6f7e0c-5a54-5d0e-9f0a-6c1d2f3b4a5e", "Second part of the run id: a UUID."),
    parameter("task", "assess_risk", "Id of the task in the workflow; `task` for a requested task."),
    parameter("attempt", "1", "Which attempt of the task, from 1."),
    parameter("delivery", "1", "Which delivery of the attempt, from 1."),
    Parameter {
        name: "signal",
        description: "What the run is told.",
        example: "cancel",
        values: &["cancel", "pause", "resume", "retry", "check"],
    },
    parameter("pause", "1", "Which pause of the run, from 1."),
    parameter("upto", "48213", "Sequence in the log of the last event that is taken into account."),
    parameter("id", "ticket-4711", "The sender's id of the signal: the same id is the same signal."),
    parameter(
        "timer",
        "deadline",
        "Which wait: `deadline` of the run, `finally` of what is done at its end, `retry-<task>-<attempt>` after a failed \
         attempt, `join-<task>` and `grace-<task>` for tasks that are waited for.",
    ),
    parameter("agent", "risk-7f3a", "Id of the agent process."),
    parameter(
        "target",
        "merchant-onboarding",
        "Name of the workflow or capability asked for; `-` if unreadable.",
    ),
    parameter(
        "uuid",
        "2b6f7e0c-5a54-5d0e-9f0a-6c1d2f3b4a5e",
        "UUID of the run that the request would have started.",
    ),
    Parameter {
        name: "outcome",
        description: "How the run ended.",
        example: "completed",
        values: &["completed", "failed", "cancelled"],
    },
    parameter("stream", "events", "The stream that the message was found in, in lower case."),
    parameter("reason", "malformed", "Why it was given up, stable and short."),
];

impl EventType {
    /// The parameters of the subject, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &'static Parameter> {
        self.subject.split('.').filter_map(|token| {
            let name = token.strip_prefix('{')?.strip_suffix('}')?;
            PARAMETERS.iter().find(|parameter| parameter.name == name)
        })
    }
}
