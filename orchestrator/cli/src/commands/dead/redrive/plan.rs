//! What dealing with a letter means, by what the message in it is.

use std::sync::Arc;

use bytes::Bytes;
use chrono::SecondsFormat;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, Reason, Request, Target, run_id};
use mesh_core::Event;
use mesh_schemas::payload::{Rerun, TimerFired};
use mesh_schemas::{
    Decoded, Envelope, Headers, Message, RequestId, RunId, SignalId, StoredMessage, Subject, TaskKey,
    TaskVerb, TraceContext, WorkflowVerb,
};
use serde_json::Value;

use super::super::letter::Letter;
use crate::commands::runs::{EVENTS_GONE, RunReader, RunState, RunStatus};
use crate::failure::Failure;

/// By this header a message that was sent again tells of which letter it is.
const REDRIVEN: &str = "mesh-redriven";

/// What is to become of a letter.
pub(super) enum Plan {
    Send(Box<Send>),
    /// Nothing, for this reason.
    Refuse(String),
}

/// A message that deals with a letter.
pub(super) struct Send {
    pub(super) parcel: Parcel,
    /// The run that is to begin by it, or that it is for.
    pub(super) run: RunId,
    /// What that does, for people: `begin` and `run 3.…`.
    verb: Verb,
    what: String,
}

/// What is to be done, and what was.
type Verb = (&'static str, &'static str);

const BEGIN: Verb = ("begin", "began");
const LET: Verb = ("let", "let");
const SEND: Verb = ("send", "sent");

impl Send {
    /// What it is for.
    pub(super) fn purpose(&self) -> String {
        format!("{} {}", self.verb.0, self.what)
    }

    /// What it has done.
    pub(super) fn done(&self) -> String {
        format!("{} {}", self.verb.1, self.what)
    }
}

pub(super) enum Parcel {
    /// A request of ours.
    Request(Box<Request>),
    /// A request that is an event with an identity of its own.
    Event(Message),
    /// A timer that is due, which fires once however often it is sent.
    Timer(Message),
    /// A fact of the log.
    Fact(Message),
}

pub(super) struct Planner {
    bus: Arc<dyn Bus>,
    runs: RunReader,
}

impl Planner {
    pub(super) fn new(bus: Arc<dyn Bus>) -> Self {
        Self { runs: RunReader::new(Arc::clone(&bus)), bus }
    }

    pub(super) async fn plan(&self, letter: &Letter, stored: &StoredMessage) -> anyhow::Result<Plan> {
        let number = letter.sequence;
        let Some(message) = letter.message(&*self.bus, stored).await? else {
            return refuse(format!(
                "the message was too large for a letter, and is no longer where it was found: `mesh dead drop {number}`"
            ));
        };
        if letter.reason == Reason::Newer.as_str()
            && let Some(run) = Subject::run_of(self.bus.namespace(), &message.subject)
        {
            return self.look_again(letter, run).await;
        }
        let Some(subject) = letter.parsed(self.bus.namespace()) else {
            let subject = letter.subject.as_deref().unwrap_or_default();
            return refuse(format!(
                "'{subject}' is no subject that the mesh knows: publish the message on the right one, then `mesh dead \
                 drop {number}`"
            ));
        };
        match subject {
            Subject::WorkflowRequested { workflow } => {
                self.request(letter, message, Target::Workflow(workflow)).await
            }
            Subject::TaskRequested { capability } => {
                self.request(letter, message, Target::Task(capability)).await
            }
            Subject::TimerDue { run, .. } => self.timer(letter, message, run).await,
            Subject::Signalled { run, .. } => self.signal(letter, message, run, &subject).await,
            Subject::Task { verb: TaskVerb::Created, key } => self.again(letter, &key).await,
            Subject::Task { verb: TaskVerb::Completed | TaskVerb::Failed, key }
                if letter.reason == Reason::Malformed.as_str() =>
            {
                self.again(letter, &key).await
            }
            // The task was told, and its run has gone on or ended.
            Subject::Called { run, task, .. } => refuse(format!(
                "task '{task}' of run {run} was told that its run does not begin: `mesh start` begins one if the work is still \
                 wanted, and `mesh dead drop {number}` removes the letter"
            )),
            subject => self.fact(letter, &message, &subject).await,
        }
    }

    /// What names a fact cannot be sent again, be it in the log or not.
    async fn fact(&self, letter: &Letter, message: &Message, subject: &Subject) -> anyhow::Result<Plan> {
        if letter.stream == Stream::Events.short_name()
            && self.bus.last(Stream::Events, &message.subject).await?.is_none()
        {
            return refuse(format!(
                "it is no longer in the log: it was removed as no run had it, or is archived with its run. Nothing waits for \
                 it; `mesh start` begins a run if the work is still wanted. `mesh dead drop {}` removes the letter",
                letter.sequence
            ));
        }
        refuse(taken(letter, subject))
    }

    /// A request is sent as it was. One without an identity gets that which it had as it was found, so it names the same
    /// run each time.
    async fn request(&self, letter: &Letter, message: Message, target: Target) -> anyhow::Result<Plan> {
        let shards = self.bus.shards().await?;
        let trace = TraceContext::from_headers(&message.headers);
        let (parcel, run) = match Envelope::decode(&message.headers, &message.payload) {
            Err(error) => return refuse(unreadable(letter, &error.to_string())),
            Ok(Decoded::Event(event)) => {
                let id = RequestId { source: event.source, id: event.id };
                let run = RunId::for_request(&target.to_string(), &id, shards);
                (Parcel::Event(self.marked(letter, message)), run)
            }
            Ok(Decoded::Bare(input)) => {
                let id = self.place(letter);
                let causation_id = Some(letter.id(self.bus.namespace()));
                let request = Request { causation_id, trace, ..Request::new(target, id, input) };
                let run = run_id(&request, shards);
                (Parcel::Request(Box::new(request)), run)
            }
        };
        send(parcel, run, BEGIN, format!("run {run}"))
    }

    /// What makes a request without an identity the same request: its place in the inbox, as for an orchestrator; of a
    /// letter that does not tell that, its own place.
    fn place(&self, letter: &Letter) -> RequestId {
        let (stream, time, sequence) = match letter.original_time.zip(letter.original_sequence) {
            Some((time, sequence)) => (Stream::Inbox, time, sequence),
            None => (Stream::Dead, letter.time, letter.sequence),
        };
        let time = time.to_rfc3339_opts(SecondsFormat::Nanos, true);
        RequestId { source: stream.name(self.bus.namespace()), id: format!("{time}-{sequence}") }
    }

    async fn timer(&self, letter: &Letter, message: Message, run: RunId) -> anyhow::Result<Plan> {
        let read = Envelope::decode(&message.headers, &message.payload).map(|decoded| match decoded {
            Decoded::Event(event) => event.data::<TimerFired>().map(drop).map_err(|error| error.to_string()),
            Decoded::Bare(_) => Err("it is no CloudEvent".to_owned()),
        });
        if let Err(error) = read.map_err(|error| error.to_string()).and_then(|read| read) {
            return refuse(unreadable(letter, &error));
        }
        if let Err(reason) = self.open(letter, run).await? {
            return refuse(reason);
        }
        send(Parcel::Timer(self.marked(letter, message)), run, LET, format!("the timer of run {run} fire"))
    }

    /// A signal is sent under an id of its own, as its subject is taken for good.
    async fn signal(
        &self,
        letter: &Letter,
        message: Message,
        run: RunId,
        subject: &Subject,
    ) -> anyhow::Result<Plan> {
        let namespace = self.bus.namespace();
        let Subject::Signalled { workflow, signal, .. } = subject else {
            return refuse(taken(letter, subject));
        };
        let stored = StoredMessage { message, sequence: letter.sequence, time: letter.time };
        if let Err(error) = Event::read(namespace, &stored) {
            return refuse(unreadable(letter, &error.to_string()));
        }
        if let Err(reason) = self.open(letter, run).await? {
            return refuse(reason);
        }
        let (workflow, id) = (workflow.clone(), signal_id(letter)?);
        let again = Subject::Signalled { workflow, run, signal: signal.clone(), id };
        let message = Message { subject: again.render(namespace), ..stored.message };
        let what = format!("the signal '{signal}' to run {run}");
        send(Parcel::Fact(self.marked(letter, message)), run, SEND, what)
    }

    /// An event that no orchestrator understood stands in the log, and counts for those who do when they read its run: so
    /// the run is only to be looked at.
    async fn look_again(&self, letter: &Letter, run: RunId) -> anyhow::Result<Plan> {
        if let Err(reason) = self.open(letter, run).await? {
            return refuse(reason);
        }
        let check = Subject::Signalled {
            workflow: None,
            run,
            signal: SignalId::new("check")?,
            id: signal_id(letter)?,
        };
        let subject = check.render(self.bus.namespace());
        let check = Message { subject, headers: Headers::new(), payload: Bytes::new() };
        let what = format!("the signal 'check' to run {run}, so that an orchestrator reads it again");
        send(Parcel::Fact(self.marked(letter, check)), run, SEND, what)
    }

    /// The attempt has failed for good, so its run is done again: with its input, and with an identity that is made of
    /// that of the run, so that several letters of one run have it done again once.
    async fn again(&self, letter: &Letter, key: &TaskKey) -> anyhow::Result<Plan> {
        let (run, number) = (key.run, letter.sequence);
        let state = match self.state(run).await? {
            Ok(Some(state)) => state,
            Ok(None) => return refuse(no_run(run, number)),
            Err(reason) => return refuse(reason),
        };
        if state.events_gone {
            return refuse(format!(
                "what became of task '{}' of run {run} is not known: {EVENTS_GONE}. If the work is still wanted, `mesh start` \
                 begins a run; then `mesh dead drop {number}`",
                key.task
            ));
        }
        let Some(task) = state.tasks.iter().find(|task| task.id == key.task) else {
            return refuse(format!(
                "run {run} has no task '{}', so nothing waits for it: `mesh dead drop {number}`",
                key.task
            ));
        };
        if !task.attempts.iter().any(|known| known.attempt == key.attempt) {
            return refuse(format!(
                "run {run} never asked for attempt {} of task '{}', so nothing waits for it: `mesh dead drop {number}`",
                key.attempt, key.task
            ));
        }
        if task.status == "done" {
            return refuse(format!(
                "a later attempt of task '{}' of run {run} went well, so nothing is left to do: `mesh dead drop {number}`",
                key.task
            ));
        }
        if task.status == "cancelled" && state.status == RunStatus::Completed {
            return refuse(format!(
                "run {run} completed without task '{}', so nothing is left to do: `mesh dead drop {number}`",
                key.task
            ));
        }
        if state.status.is_open() && !task.has_ended() {
            return refuse(format!(
                "run {run} is still at task '{}', which is {}: look again when it has ended, or end it with `mesh runs \
                 cancel {run}`",
                key.task, task.status
            ));
        }
        if let Some((what, error)) = state.lost_beginning() {
            return refuse(format!(
                "{what} of run {run} is lost ({error}), so it cannot begin again: `mesh start` begins a run with another; \
                 then `mesh dead drop {number}`"
            ));
        }
        let failed = state.failed();
        let target = match (state.target.workflow, state.target.capability) {
            (Some(workflow), _) => Target::Workflow(workflow),
            (None, Some(capability)) => Target::Task(capability),
            (None, None) => return refuse(no_run(run, number)),
        };
        // What went well is not done twice. A run that goes on has nothing yet that could be taken over.
        let is_rerun = matches!(target, Target::Workflow(_)) && !state.status.is_open();
        let rerun = is_rerun.then_some(Rerun { of: run, from: failed });
        let id = RequestId { source: format!("/{}/dead", self.bus.namespace()), id: run.to_string() };
        let (input, config) = if is_rerun { (Value::Null, None) } else { (state.input, state.config) };
        let request = Request {
            config,
            rerun,
            correlation_id: Some(state.correlation_id),
            causation_id: Some(letter.id(self.bus.namespace())),
            ..Request::new(target, id, input)
        };
        let again = run_id(&request, self.bus.shards().await?);
        send(Parcel::Request(Box::new(request)), again, BEGIN, format!("run {run} again, as run {again}"))
    }

    /// Why there is nobody whom a message to a run could still move, if so.
    async fn open(&self, letter: &Letter, run: RunId) -> anyhow::Result<Result<(), String>> {
        let number = letter.sequence;
        Ok(match self.state(run).await? {
            Ok(Some(state)) if state.status.is_open() => Ok(()),
            Ok(Some(state)) => Err(format!(
                "run {run} is over ({}), and it would change nothing: `mesh dead drop {number}`",
                state.status.as_str()
            )),
            Ok(None) => Err(no_run(run, number)),
            Err(reason) => Err(reason),
        })
    }

    /// How a run stands; the reason if this program cannot tell.
    async fn state(&self, run: RunId) -> anyhow::Result<Result<Option<RunState>, String>> {
        match self.runs.read(&run).await {
            Ok(state) => Ok(Ok(state)),
            Err(error) => error.downcast::<Failure>().map(|failure| Err(failure.to_string())),
        }
    }

    /// The message with a word on which letter it is from.
    fn marked(&self, letter: &Letter, message: Message) -> Message {
        let headers = message.headers.with(REDRIVEN, letter.id(self.bus.namespace()));
        Message { headers, ..message }
    }
}

fn send(parcel: Parcel, run: RunId, verb: Verb, what: String) -> anyhow::Result<Plan> {
    Ok(Plan::Send(Box::new(Send { parcel, run, verb, what })))
}

fn refuse(reason: String) -> anyhow::Result<Plan> {
    Ok(Plan::Refuse(reason))
}

/// The id of a signal that deals with a letter: the same each time.
fn signal_id(letter: &Letter) -> anyhow::Result<SignalId> {
    Ok(SignalId::new(match letter.original_sequence {
        Some(sequence) => format!("redriven-{sequence}"),
        None => format!("redriven-letter-{}", letter.sequence),
    })?)
}

fn unreadable(letter: &Letter, error: &str) -> String {
    format!(
        "it still cannot be read ({error}): send what was meant as it should be, then `mesh dead drop {}`",
        letter.sequence
    )
}

fn no_run(run: RunId, number: u64) -> String {
    format!("the log has no run {run}, so nothing waits for it: `mesh dead drop {number}`")
}

/// Why something that stands in the log cannot be sent again.
fn taken(letter: &Letter, subject: &Subject) -> String {
    let number = letter.sequence;
    let instead = match subject {
        Subject::Workflow { verb: WorkflowVerb::Started, .. } => {
            "no run can begin there any more; send the request under another id"
        }
        Subject::Workflow { .. } => "it stands there as the end of its run, however it is to be read",
        Subject::Pause { .. } => {
            "nothing follows from what tells of a pause: `mesh runs pause` and `mesh runs resume` are heard"
        }
        Subject::TaskRouted { .. } => "the first choice counts, and the loop has its width by now",
        Subject::Task { .. } if letter.reason == Reason::TooLarge.as_str() => {
            "what follows from it has no room; let the server take larger messages and start an orchestrator anew"
        }
        Subject::Task { .. } => {
            "an outcome counts for the attempt that it names, and no run has asked for this one; `mesh start` begins a run if \
             the work is still wanted"
        }
        Subject::TimerFired { .. } => "a timer that its run waits for has fired by it; no other waits",
        _ => "only requests, timers, signals and work can be sent again",
    };
    format!(
        "a subject of the log names one fact, and this one is taken for good: {instead}. `mesh dead drop {number}` removes \
         the letter"
    )
}
