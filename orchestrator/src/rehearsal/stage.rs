use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use mesh_bus::{Publish, RunOutcome};
use mesh_core::{Action, Decision, Event, Fact, Run, Unreadable};
use mesh_schemas::payload::{
    CancelSignal, Parent, RequestRejected, TakenOver, TaskCompleted, TaskCreated, TaskError, TaskFailed,
    WorkflowStarted, rejection,
};
use mesh_schemas::{
    Envelope, Frame, Message, Namespace, RULES_VERSION, RequestId, RunId, Shards, SignalId, StoredMessage,
    Subject, TaskId, TaskKey, TaskVerb, Timer, TraceContext,
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::course::{Course, Work};
use crate::definitions::{self, Known};
use crate::encode;
use crate::relay::timer;
use crate::route;

/// How a run begins.
#[derive(Debug, Clone)]
pub struct Opening {
    /// First token of every subject.
    pub namespace: Namespace,
    /// The run's id: expressions see it, and the chance in the pauses before retries comes from it.
    pub run: RunId,
    /// The request that it is for.
    pub request: RequestId,
    /// What the requester calls the whole piece of work; the run id if it said nothing.
    pub correlation_id: Option<String>,
    /// The trace that the work began in.
    pub trace: Option<TraceContext>,
    /// When the request is relayed, by the clock of the rehearsal.
    pub at: DateTime<Utc>,
    /// The input.
    pub input: Value,
    /// The task of another run that it is started for, if it is.
    pub parent: Option<Parent>,
    /// What takes the place of values of the workflow's `config`.
    pub config: Option<Map<String, Value>>,
    /// What it takes over from another run.
    pub taken_over: Option<TakenOver>,
    /// Tasks before which it is paused, beside those of which the definition says so.
    pub pause_before: Vec<TaskId>,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Begun {
    /// It starts a run.
    Started(Box<Rehearsal>),
    /// It starts none.
    Rejected(RequestRejected),
}

/// Something that a run asks of the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// Work for an agent, or for a run that does it. Its outcome is given back by [`Rehearsal::complete`] or [`Rehearsal::fail`].
    Work(Box<Work>),
    /// A run of its own, whose end nobody waits for. That it has started is told by [`Rehearsal::complete`].
    Start(Box<Work>),
    /// To be told by [`Rehearsal::fire`] when it is this time.
    Wait(Timer, DateTime<Utc>),
}

/// One run without a mesh: the orchestrator, the log and the schedules, all in memory.
///
/// Every decision is written as the message that an orchestrator would store, and read back from it. Nothing happens
/// by itself: whoever holds it says when an agent answers, a wait is over or a client sends a signal. Time is only
/// what is said with each, and does not go back.
#[derive(Debug)]
pub struct Rehearsal {
    pub(super) namespace: Namespace,
    pub(super) run: Run,
    now: DateTime<Utc>,
    /// What the log holds.
    log: Vec<StoredMessage>,
    /// How many of those were folded.
    folded: usize,
    /// Subjects that name a fact which is stored: there is no second one.
    pub(super) stored: BTreeSet<String>,
    /// Schedules by their timers.
    waits: BTreeMap<Timer, Message>,
    pub(super) asked: VecDeque<Asked>,
    pub(super) work: Vec<Work>,
    outcome: Option<(RunOutcome, DateTime<Utc>)>,
}

impl Rehearsal {
    /// Relays a request for a run of a workflow, as an orchestrator does.
    ///
    /// # Errors
    /// [`Unreadable`] if an event of our own cannot be read back, which is a defect.
    pub fn begin(known: &Known, opening: Opening) -> Result<Begun, Unreadable> {
        let Opening {
            namespace,
            run,
            request,
            correlation_id,
            trace,
            at,
            input,
            parent,
            config,
            taken_over,
            pause_before,
        } = opening;
        let workflow = known.plan.definition.name.clone();
        let reasons = match definitions::too_deep(&input) {
            Some(reason) => vec![reason],
            None => known.input_errors(&input),
        };
        let (code, reasons) = match reasons.is_empty() {
            false => (rejection::INVALID_INPUT, reasons),
            true => (rejection::INVALID_CONFIG, known.config_errors(config.as_ref())),
        };
        if !reasons.is_empty() {
            let subject = Subject::WorkflowRequested { workflow }.render(&namespace);
            let code = code.to_owned();
            return Ok(Begun::Rejected(RequestRejected { subject, request, code, reasons }));
        }
        let correlation_id = correlation_id.unwrap_or_else(|| run.to_string());
        let frame = Frame {
            namespace: &namespace,
            correlation_id: &correlation_id,
            cause: &request.id,
            time: at,
            trace: trace.as_ref(),
            hop: trace.as_ref(),
        };
        let data = WorkflowStarted {
            digest: known.plan.digest.clone(),
            rules: RULES_VERSION,
            input,
            config,
            request: request.clone(),
            capability: None,
            parent,
            taken_over,
            pause_before,
        };
        let Publish { message, .. } = encode::started(&frame, Some(workflow), run, &data);
        let stored = StoredMessage { message, sequence: 1, time: at };
        let event = Event::read(&namespace, &stored)?;
        let Fact::Started(started) = &event.fact else {
            return Err(Unreadable::Malformed(format!("{} is no beginning of a run", event.id)));
        };
        let (run, step) = Run::start(&event, started, Arc::clone(&known.plan));
        let mut rehearsal = Self {
            namespace,
            run,
            now: at,
            stored: BTreeSet::from([stored.message.subject.clone()]),
            log: vec![stored],
            folded: 1,
            waits: BTreeMap::new(),
            asked: VecDeque::new(),
            work: Vec::new(),
            outcome: None,
        };
        rehearsal.publish(&step.decisions)?;
        rehearsal.fold()?;
        Ok(Begun::Started(Box::new(rehearsal)))
    }

    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The next thing that the run asks for, in the order in which it was decided.
    pub fn next_asked(&mut self) -> Option<Asked> {
        self.asked.pop_front()
    }

    /// How the run ended, once it has.
    #[must_use]
    pub fn outcome(&self) -> Option<&RunOutcome> {
        self.outcome.as_ref().map(|(outcome, _)| outcome)
    }

    /// What the log holds so far, in order.
    #[must_use]
    pub fn log(&self) -> &[StoredMessage] {
        &self.log
    }

    /// How the run went so far.
    #[must_use]
    pub fn course(&self) -> Course {
        let end = self.outcome.clone();
        Course::new(&self.run, &self.work, end)
    }

    /// An agent has done its work.
    ///
    /// # Errors
    /// [`Unreadable`] if the run did not ask for it, or an event of our own cannot be read back.
    pub fn complete(&mut self, at: DateTime<Utc>, key: &TaskKey, output: Value) -> Result<(), Unreadable> {
        let data = TaskCompleted { output, quality: None, usage: None, agent: None };
        let outcome = self.written("agent", at, &key.subject(TaskVerb::Completed), &data)?;
        self.take(at, outcome)
    }

    /// An agent could not do its work.
    ///
    /// # Errors
    /// As [`Rehearsal::complete`].
    pub fn fail(&mut self, at: DateTime<Utc>, key: &TaskKey, error: TaskError) -> Result<(), Unreadable> {
        let data = TaskFailed { error, agent: None };
        let outcome = self.written("agent", at, &key.subject(TaskVerb::Failed), &data)?;
        self.take(at, outcome)
    }

    /// A client wants the run to end.
    ///
    /// # Errors
    /// As [`Rehearsal::complete`].
    pub fn cancel(&mut self, at: DateTime<Utc>, reason: Option<String>) -> Result<(), Unreadable> {
        self.signal(at, "cancel", &CancelSignal { reason })
    }

    /// A client wants the run to be looked at again.
    ///
    /// # Errors
    /// As [`Rehearsal::complete`].
    pub fn check(&mut self, at: DateTime<Utc>) -> Result<(), Unreadable> {
        self.signal(at, "check", &Value::Object(serde_json::Map::new()))
    }

    /// A wait of the run is over. A timer that was not set fires for nobody.
    ///
    /// # Errors
    /// [`Unreadable`] if an event of our own cannot be read back.
    pub fn fire(&mut self, at: DateTime<Utc>, timer: &Timer) -> Result<(), Unreadable> {
        let Some(message) = self.waits.remove(timer) else { return Ok(()) };
        // NATS copies the message from the schedule's own subject to its target.
        let due = StoredMessage { message, sequence: 0, time: at };
        let fired = timer::fired(&self.namespace, &due, self.run.header.run, timer.clone(), None)
            .map_err(|error| Unreadable::Malformed(error.to_string()))?;
        self.take(at, fired)
    }

    /// Stores a message that somebody else has written for this run, and all that follows from it.
    ///
    /// # Errors
    /// [`Unreadable`] if it is no event of this run, or is about something that the run did not ask for.
    pub fn take(&mut self, at: DateTime<Utc>, message: Message) -> Result<(), Unreadable> {
        self.now = self.now.max(at);
        self.store(message);
        self.fold()
    }

    fn signal(&mut self, at: DateTime<Utc>, signal: &str, data: &impl Serialize) -> Result<(), Unreadable> {
        let name =
            |text: String| SignalId::new(text).map_err(|error| Unreadable::Malformed(error.to_string()));
        let subject = Subject::Signalled {
            workflow: self.run.header.workflow.clone(),
            run: self.run.header.run,
            signal: name(signal.to_owned())?,
            id: name(format!("rehearsed-{}", self.log.len()))?,
        };
        let message = self.written("client", at, &subject, data)?;
        self.take(at, message)
    }

    /// An event of somebody who is not an orchestrator.
    fn written(
        &self,
        who: &str,
        at: DateTime<Utc>,
        subject: &Subject,
        data: &impl Serialize,
    ) -> Result<Message, Unreadable> {
        let malformed = |error: String| Unreadable::Malformed(error);
        let data = serde_json::to_value(data).map_err(|error| malformed(error.to_string()))?;
        let id = subject.render(&self.namespace);
        let mut event =
            Envelope::new(id.clone(), format!("/{}/{who}", self.namespace), subject.event_type(), data);
        event.time = Some(at);
        event.correlationid = Some(self.run.header.correlation_id.clone());
        let (headers, body) = event.encode().map_err(|error| malformed(error.to_string()))?;
        Ok(Message { subject: id, headers, payload: Bytes::from(body) })
    }

    /// Stores a message in the log, unless its subject names a fact that is there.
    fn store(&mut self, message: Message) {
        if self.stored.insert(message.subject.clone()) {
            let sequence = self.log.len() as u64 + 1;
            self.log.push(StoredMessage { message, sequence, time: self.now });
        }
    }

    /// Folds what was stored, event by event, as an orchestrator that follows the log.
    fn fold(&mut self) -> Result<(), Unreadable> {
        while let Some(stored) = self.log.get(self.folded) {
            self.folded += 1;
            let event = Event::read(&self.namespace, stored)?;
            if self.outcome.is_none() {
                let ended = RunOutcome::read(&self.namespace, stored);
                let ended = ended.map_err(|error| Unreadable::Malformed(error.to_string()))?;
                self.outcome = ended.map(|outcome| (outcome, event.time));
            }
            let step = self.run.apply(&event);
            if let Some(stray) = step.stray {
                return Err(Unreadable::Malformed(stray));
            }
            self.publish(&step.decisions)?;
        }
        Ok(())
    }

    /// Writes decisions as messages, each to where it belongs.
    fn publish(&mut self, decisions: &[Decision]) -> Result<(), Unreadable> {
        for decision in decisions {
            match &decision.action {
                Action::StartChild(key, child) => {
                    self.start_child(key, child, decision.at);
                    continue;
                }
                // What becomes of other runs is not rehearsed here.
                Action::CancelChild(..) | Action::Report(..) => continue,
                Action::Route(task, route) => {
                    let (header, routed) = (&self.run.header, route::with_all_free(route));
                    let routed = encode::routed(&self.namespace, header, decision, task, &routed, None);
                    self.store(routed.message);
                    continue;
                }
                Action::Create(..)
                | Action::GiveUp(..)
                | Action::SetTimer(..)
                | Action::Pause(..)
                | Action::Resume(_)
                | Action::End(_) => {}
            }
            let shards = Shards::default();
            let publish = encode::decision(&self.namespace, shards, &self.run.header, decision, None);
            let subject = publish.schedule.as_ref().map_or(&publish.message.subject, |(_, target)| target);
            let parsed = Subject::parse(&self.namespace, subject)
                .map_err(|error| Unreadable::Malformed(error.to_string()))?;
            match (parsed, publish.schedule) {
                (Subject::TimerDue { timer, .. }, Some((due, _))) => {
                    self.asked.push_back(Asked::Wait(timer.clone(), due));
                    self.waits.insert(timer, publish.message);
                }
                (Subject::Task { verb: TaskVerb::Created, key }, None) => {
                    self.create(key, publish.message)?;
                }
                _ => self.store(publish.message),
            }
        }
        Ok(())
    }

    fn create(&mut self, key: TaskKey, message: Message) -> Result<(), Unreadable> {
        let malformed = |error: String| Unreadable::Malformed(format!("{}: {error}", message.subject));
        let decoded = Envelope::decode(&message.headers, &message.payload);
        let decoded = decoded.map_err(|error| malformed(error.to_string()))?;
        let created: TaskCreated = serde::Deserialize::deserialize(decoded.data())
            .map_err(|error: serde_json::Error| malformed(error.to_string()))?;
        if self.stored.insert(message.subject) {
            let work = Work { key, created, at: self.now };
            self.work.push(work.clone());
            self.asked.push_back(Asked::Work(Box::new(work)));
        }
        Ok(())
    }
}
