//! One run without a bus: its log, what `mesh-core` makes of it, and what is decided but not yet in the log.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use mesh_core::{Action, Child, Decision, End, Event, Fact, Plan, Replay, Route, check};
use mesh_schemas::definition::Definition;
use mesh_schemas::document::Format;
use mesh_schemas::payload::{
    Mode, Parent, TakenOver, TaskCreated, TaskFailed, TaskRouted, WorkflowCalled, WorkflowStarted,
};
use mesh_schemas::{
    Attempt, Envelope, Headers, Message, Namespace, PauseVerb, RULES_VERSION, RunId, Shards, SignalId,
    StoredMessage, Subject, TaskId, TaskKey, TaskVerb, Timer, WorkflowVerb,
};
use mesh_simulation::interpreter::{self, Expected, Found, FoundEnd, fits_taken_over, interpret};
use mesh_simulation::workload::{Ending, Run, Target, Workflow, Workload, behaviour};
use serde_json::{Value, json};

pub(crate) struct World {
    pub(crate) namespace: Namespace,
    pub(crate) workflow: Workflow,
    pub(crate) script: Run,
    pub(crate) id: RunId,
    /// The task that it is started for, if it is.
    pub(crate) parent: Option<Parent>,
    /// What it takes over from another run, if it does that again.
    taken_over: Option<TakenOver>,
    /// The tasks before which it is paused, beside those that say so.
    pub(crate) pause_before: Vec<TaskId>,
    /// Sequence of its first event.
    first: u64,
    plan: Arc<Plan>,
    run: Option<mesh_core::Run>,
    pub(crate) now: DateTime<Utc>,
    pub(crate) log: Vec<StoredMessage>,
    /// Subjects that have their fact.
    taken: BTreeSet<String>,
    pub(crate) found: Found,
    /// Attempts that no agent has answered.
    pub(crate) open: Vec<(TaskKey, TaskCreated)>,
    /// Attempts that agents have answered.
    pub(crate) answered: Vec<TaskKey>,
    /// Timers that have not fired, with the time when they are due.
    pub(crate) timers: Vec<(Timer, DateTime<Utc>)>,
    /// Failures and ends that are decided and not in the log.
    pub(crate) unstored: Vec<(Subject, Value)>,
}

impl World {
    /// The run in a place of a workload, before it begins.
    pub(crate) fn new(workload: &Workload, place: usize) -> Self {
        let script = workload.runs[place].clone();
        let workflow = workload.workflow(&script).expect("the run's workflow is there");
        Self {
            namespace: Namespace::default(),
            id: script.id(Shards::default()),
            parent: None,
            taken_over: None,
            pause_before: Vec::new(),
            first: 10,
            script,
            plan: Arc::new(plan(&workflow)),
            workflow,
            run: None,
            now: DateTime::from_timestamp(1_700_000_000, 123_456_789).expect("a time"),
            log: Vec::new(),
            taken: BTreeSet::new(),
            found: Found::default(),
            open: Vec::new(),
            answered: Vec::new(),
            timers: Vec::new(),
            unstored: Vec::new(),
        }
    }

    /// The run before it begins, of which the fold is told another workflow; none if that is not sound.
    pub(crate) fn misled(workload: &Workload, place: usize, other: &Workflow) -> Option<Self> {
        let mut world = Self::new(workload, place);
        world.plan = Arc::new(checked(other).ok()?);
        Some(world)
    }

    /// A run that does this one again from some tasks on, before it begins; none if nothing is to be done again. What it takes over
    /// is what the interpreter says.
    pub(crate) fn again(&self, workload: &Workload, place: usize, from: &[TaskId]) -> Option<Self> {
        let events: Vec<Event> =
            self.log.iter().filter_map(|stored| Event::read(&self.namespace, stored).ok()).collect();
        let begin = events.iter().position(|event| matches!(event.fact, Fact::Started(_)))?;
        let Fact::Started(started) = &events[begin].fact else { return None };
        let mut replay = Replay::keeping(&events[begin], started, Arc::clone(&self.plan));
        let behind = events[begin + 1..].iter().filter(|event| event.fact != Fact::Ended);
        behind.for_each(|event| replay.take(event));
        let taken_over = replay.finish().0.taken_over(from).ok();
        let kept = self.expected(self.log.len()).expect("it has begun").kept;
        let expected = interpreter::taken_over(&self.workflow, &kept, from);
        let fits = match (&taken_over, &expected) {
            (Some(taken_over), Some(expected)) => fits_taken_over(expected, taken_over),
            (found, expected) => found.is_none() && expected.is_none(),
        };
        assert!(fits, "from {from:?}: {taken_over:?} {expected:?}\n{}", self.told());
        let mut again = Self::new(workload, place);
        again.first = self.first + 3 * self.log.len() as u64;
        again.now = self.now;
        again.taken_over = Some(taken_over?);
        Some(again)
    }

    /// Whether it takes over more than one task.
    pub(crate) fn takes_much(&self) -> bool {
        self.taken_over.as_ref().is_some_and(|taken| taken.tasks.len() > 1)
    }

    /// Whether it takes over a task.
    pub(crate) fn takes(&self, task: &TaskId) -> bool {
        self.taken_over.as_ref().is_some_and(|taken| taken.tasks.contains_key(task))
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.found.end.is_some()
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    pub(crate) fn start(&mut self) {
        let capability = match &self.script.target {
            Target::Task(capability) => Some(capability.clone()),
            Target::Workflow(_) => None,
        };
        let data = WorkflowStarted {
            digest: self.plan.digest.clone(),
            rules: RULES_VERSION,
            config: None,
            input: self.script.sent[0].input.clone(),
            request: self.script.request.clone(),
            capability,
            parent: self.parent.clone(),
            taken_over: self.taken_over.clone(),
            pause_before: self.pause_before.clone(),
        };
        let subject = self.workflow_subject(WorkflowVerb::Started);
        self.store(&subject, &json!(data));
    }

    pub(crate) fn workflow_subject(&self, verb: WorkflowVerb) -> Subject {
        Subject::Workflow { verb, workflow: self.script.workflow().cloned(), run: self.id }
    }

    fn pause_subject(&self, verb: PauseVerb, number: u64) -> Subject {
        Subject::Pause { verb, workflow: self.script.workflow().cloned(), run: self.id, number }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.run.as_ref().is_some_and(mesh_core::Run::is_paused)
    }

    /// Stores what an agent makes of an attempt by the script, within the time of the task if it has one. Whoever hangs for
    /// ever does not answer.
    pub(crate) fn answer(&mut self, key: &TaskKey, created: &TaskCreated) {
        if let Some((verb, data)) = answer(self, key, created) {
            self.answered.push(key.clone());
            self.store(&key.subject(verb), &data);
        }
    }

    pub(crate) fn fire(&mut self, timer: Timer) {
        let due = json!({ "due": self.now });
        self.store(&Subject::TimerFired { run: self.id, timer }, &due);
    }

    pub(crate) fn signalled(&self, signal: &str, id: SignalId) -> Subject {
        let signal = signal.parse().expect("a signal");
        Subject::Signalled { workflow: self.script.workflow().cloned(), run: self.id, signal, id }
    }

    /// Stores an event, unless its subject has its fact already.
    pub(crate) fn store(&mut self, subject: &Subject, data: &Value) {
        let id = subject.render(&self.namespace);
        let mut event = Envelope::new(id, "/test", subject.event_type(), data.clone());
        event.correlationid = self.script.correlation_id.clone();
        let (headers, body) = event.encode().expect("an event");
        self.store_bytes(subject, headers, body);
    }

    pub(crate) fn store_bytes(&mut self, subject: &Subject, headers: Headers, body: Vec<u8>) {
        let subject = subject.render(&self.namespace);
        if !self.taken.insert(subject.clone()) {
            return;
        }
        let message = Message { subject, headers, payload: Bytes::from(body) };
        let sequence = self.first + 3 * self.log.len() as u64;
        let stored = StoredMessage { message, sequence, time: self.now };
        let event = Event::read(&self.namespace, &stored);
        self.log.push(stored);
        let Ok(event) = event else { return };
        let step = match (&mut self.run, &event.fact) {
            (Some(run), _) => run.apply(&event),
            (None, Fact::Started(started)) => {
                let (run, step) = mesh_core::Run::start(&event, started, Arc::clone(&self.plan));
                self.run = Some(run);
                step
            }
            (None, _) => return,
        };
        for decision in step.decisions {
            self.take(decision);
        }
    }

    fn take(&mut self, decision: Decision) {
        assert_eq!(decision.at, self.now, "a decision has the time of its event");
        match &decision.action {
            Action::Create(key, data) => self.open.push((key.clone(), (**data).clone())),
            Action::SetTimer(timer, due) => self.timers.push((timer.clone(), *due)),
            Action::GiveUp(key, error) => {
                let data = TaskFailed { error: error.clone(), agent: None };
                self.unstored.push((key.subject(TaskVerb::Failed), json!(data)));
            }
            Action::Pause(number, data) => {
                self.unstored.push((self.pause_subject(PauseVerb::Paused, *number), json!(data)));
            }
            Action::Resume(number) => {
                self.unstored.push((self.pause_subject(PauseVerb::Resumed, *number), json!({})));
            }
            Action::Route(task, route) => {
                let subject =
                    Subject::TaskRouted { run: self.id, task: task.clone(), attempt: Attempt::FIRST };
                self.unstored.push((subject, json!(chosen(route))));
            }
            Action::StartChild(key, child) => self.open.push((key.clone(), self.as_work(child))),
            Action::CancelChild(..) | Action::Report(..) => {}
            Action::End(end) => {
                let (verb, data) = match end {
                    End::Completed(data) => (WorkflowVerb::Completed, json!(data)),
                    End::Failed(data) => (WorkflowVerb::Failed, json!(data)),
                    End::Cancelled(data) => (WorkflowVerb::Cancelled, json!(data)),
                };
                self.unstored.push((self.workflow_subject(verb), data));
            }
        }
        note(&mut self.found, decision);
    }

    /// A run that a task starts, as if it were work for an agent: nothing but its outcome comes into the log.
    fn as_work(&self, child: &Child) -> TaskCreated {
        TaskCreated {
            workflow: child.parent.workflow.clone(),
            digest: self.plan.digest.clone(),
            task: child.parent.task.clone(),
            attempt: child.parent.attempt,
            action: None,
            input: child.input.clone(),
            secrets: Vec::new(),
            timeout_ms: None,
            deadline: child.parent.deadline,
            basis: self.now,
            idempotency_key: String::new(),
        }
    }

    pub(crate) fn expected(&self, events: usize) -> Option<Expected> {
        interpret(&self.namespace, &self.workflow, &self.log[..events])
    }

    /// In what the fold and the interpreter differ.
    pub(crate) fn differences(&self) -> Vec<String> {
        match self.expected(self.log.len()) {
            Some(expected) => expected.differences(&self.log, &self.found),
            None => Expected::default().differences(&self.log, &self.found),
        }
    }

    /// The log in words.
    pub(crate) fn told(&self) -> String {
        let line = |stored: &StoredMessage| {
            let body = String::from_utf8_lossy(&stored.message.payload);
            let data = body.split_once("\"data\":").map_or(&*body, |(_, data)| data);
            format!("{}  {}\n    {data}\n", stored.time, stored.message.subject)
        };
        format!(
            "{}\n{}\n{}",
            self.workflow.to_yaml(),
            self.script,
            self.log.iter().map(line).collect::<String>()
        )
    }
}

/// What the mesh reads a workflow as.
pub(crate) fn plan(workflow: &Workflow) -> Plan {
    checked(workflow).unwrap_or_else(|told| panic!("{}\n{told}", workflow.to_yaml()))
}

fn checked(workflow: &Workflow) -> Result<Plan, String> {
    if workflow.name.is_none() {
        let (_, work) = workflow.works().remove(0);
        return Ok(Plan::compile(&Definition::single_task(&work.agent)).expect("one task is a workflow"));
    }
    let checked = check(&workflow.to_yaml(), Format::Yaml, |_| Vec::new());
    checked.map(|(_, plan)| plan).map_err(|told| told.to_string())
}

/// How many items are under way where agents have room for six tasks and five of these are free.
fn chosen(route: &Route) -> TaskRouted {
    let Route { complexity, dependency, most, .. } = *route;
    let (mode, width) = match (complexity > 0.8, dependency > 0.6) {
        (true, _) => (Mode::Parallel, 5),
        (_, true) => (Mode::Sequential, 1),
        _ => (Mode::Usual, 3),
    };
    TaskRouted { mode, width: most.min(width), complexity, dependency, free: 5, capacity: 6 }
}

/// Adds a decision to those that were found.
pub(crate) fn note(found: &mut Found, decision: Decision) {
    let Decision { cause, action, .. } = decision;
    let twice = match action {
        Action::Create(key, data) => found.created.insert((key.task, key.attempt), (cause, *data)).is_some(),
        Action::SetTimer(timer, due) => found.timers.insert(timer, (cause, due)).is_some(),
        Action::GiveUp(key, error) => {
            found.given_up.insert((key.task, key.attempt), (cause, error)).is_some()
        }
        Action::Pause(number, data) => found.paused.insert(number, (cause, data)).is_some(),
        Action::Resume(number) => found.resumed.insert(number, (cause, ())).is_some(),
        Action::Route(task, route) => found.routed.insert(task, (cause, chosen(&route))).is_some(),
        Action::StartChild(key, child) => {
            let Child { workflow, input, parent } = *child;
            let called = (workflow, WorkflowCalled { input, parent });
            found.called.insert((key.task, key.attempt), (cause, called)).is_some()
        }
        Action::CancelChild(key, _) => found.uncalled.insert((key.task, key.attempt), (cause, ())).is_some(),
        Action::Report(_, result) => found.report.replace((cause, *result)).is_some(),
        Action::End(end) => {
            let end = match end {
                End::Completed(data) => FoundEnd::Completed(data),
                End::Failed(data) => FoundEnd::Failed(data),
                End::Cancelled(data) => FoundEnd::Cancelled(data),
            };
            found.end.replace((cause, end)).is_some()
        }
    };
    assert!(!twice, "the same is decided twice");
}

/// How long an agent takes for an attempt, its timeout regarded; none if it would never end by itself.
pub(crate) fn takes(script: &Run, key: &TaskKey, created: &TaskCreated) -> Option<Duration> {
    let behaviour = behaviour(&script.script, &key.task, key.attempt);
    let timeout = created.timeout_ms.map(Duration::from_millis);
    match behaviour.ending {
        Ending::Hangs => timeout,
        _ => Some(timeout.map_or(behaviour.takes, |timeout| timeout.min(behaviour.takes))),
    }
}

/// The outcome of an attempt by the script, its timeout regarded.
fn answer(world: &World, key: &TaskKey, created: &TaskCreated) -> Option<(TaskVerb, Value)> {
    let script = &world.script;
    let behaviour = behaviour(&script.script, &key.task, key.attempt);
    let takes = takes(script, key, created)?;
    let failed = |code: &str, retryable: bool, pause: Option<Duration>| {
        let mut error = json!({ "code": code, "message": "scripted", "retryable": retryable });
        if let Some(pause) = pause {
            error["retry_after"] = pause.as_secs_f64().into();
        }
        Some((TaskVerb::Failed, json!({ "error": error, "agent": "tester" })))
    };
    if takes < behaviour.takes || behaviour.ending == Ending::Hangs {
        return failed("timeout", true, None);
    }
    match &behaviour.ending {
        Ending::Returns(answer) => {
            let output = world.workflow.answer(&key.task, *answer, &created.input);
            let mut data = json!({ "output": output, "agent": "tester" });
            if let Some(quality) = behaviour.quality() {
                data["quality"] = quality.into();
            }
            Some((TaskVerb::Completed, data))
        }
        Ending::Fails { code, retryable, retry_after } => failed(code, *retryable, *retry_after),
        Ending::Panics => failed("panic", true, None),
        Ending::Hangs => None,
    }
}

/// A little time, so that the clock has digits of every kind.
pub(crate) fn moment() -> TimeDelta {
    TimeDelta::microseconds(1_234)
}
