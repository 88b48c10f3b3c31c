//! A run that is told event by event what happens.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use mesh_core::{
    Action, Child, Decision, End, Event, Fact, NotRerun, Origin, Plan, Replay, Route, Run, Started, check,
};
use mesh_schemas::document::Format;
use mesh_schemas::payload::{Parent, TaskCompleted, TaskError, WorkflowStarted};
use mesh_schemas::{Attempt, Lane, RULES_VERSION, RequestId, RunId, Shards, TaskId, TaskKey, Timer};
use serde_json::{Map, Value, json};

/// A run, and what it has decided.
pub(crate) struct Story {
    run: Run,
    log: Vec<Event>,
    /// What the last event led to.
    step: Vec<Decision>,
    /// Everything that was decided.
    pub(crate) decided: Vec<Decision>,
    /// The items of a loop that the last event was the end of.
    gathered: Vec<Origin>,
}

impl Story {
    /// A run of a workflow with these tasks (and output), written in YAML.
    pub(crate) fn of(tasks: &str, input: Value) -> Self {
        Self::with_config(tasks, input, None)
    }

    /// The same of a request that puts values in place of those of the definition.
    pub(crate) fn with_config(tasks: &str, input: Value, config: Option<Map<String, Value>>) -> Self {
        let text = format!("mesh: v1\nname: story\n{tasks}");
        let plan = check(&text, Format::Yaml, |_| Vec::new());
        let (_, plan) = plan.unwrap_or_else(|problems| panic!("{text}\n{problems}"));
        Self::follow(Arc::new(plan), input, |data| data.config = config)
    }

    /// The same, of a run that a task of another run has started.
    pub(crate) fn of_child(tasks: &str, input: Value, parent: Parent) -> Self {
        let text = format!("mesh: v1\nname: story\n{tasks}");
        let plan = check(&text, Format::Yaml, |_| Vec::new());
        let (_, plan) = plan.unwrap_or_else(|problems| panic!("{text}\n{problems}"));
        Self::follow(Arc::new(plan), input, |data| data.parent = Some(parent))
    }

    /// The same, paused before tasks at the wish of who asks for it.
    pub(crate) fn paused_before(tasks: &str, before: &[&str]) -> Self {
        let of = Self::of(tasks, json!({}));
        Self::follow(of.run.plan(), json!({}), |data| {
            data.pause_before = before.iter().map(|id| task(id)).collect();
        })
    }

    /// A run that does this one again from tasks on, with another input.
    pub(crate) fn again(&self, from: &[&str], input: Value) -> Result<Self, NotRerun> {
        let Fact::Started(started) = &self.log[0].fact else { panic!("a run begins") };
        let mut replay = Replay::keeping(&self.log[0], started, self.run.plan());
        self.log[1..].iter().for_each(|event| replay.take(event));
        let from: Vec<TaskId> = from.iter().map(|id| task(id)).collect();
        // As it stands in the log.
        let taken = serde_json::to_value(replay.finish().0.taken_over(&from)?).unwrap();
        Ok(Self::follow(self.run.plan(), input, |data| {
            data.taken_over = Some(serde_json::from_value(taken).unwrap());
        }))
    }

    fn follow(plan: Arc<Plan>, input: Value, more: impl FnOnce(&mut WorkflowStarted)) -> Self {
        let mut data = WorkflowStarted {
            digest: plan.digest.clone(),
            rules: RULES_VERSION,
            config: None,
            input,
            request: request(),
            capability: None,
            parent: None,
            taken_over: None,
            pause_before: Vec::new(),
        };
        more(&mut data);
        let started = Started {
            workflow: Some("story".parse().unwrap()),
            data,
            lost: None,
            correlation_id: None,
            trace: None,
        };
        let event = event(1, Fact::Started(Box::new(started.clone())));
        let (run, step) = Run::start(&event, &started, plan);
        let mut story = Self {
            run,
            log: vec![event],
            step: step.decisions.clone(),
            decided: step.decisions,
            gathered: Vec::new(),
        };
        story.check();
        story
    }

    /// An attempt went well.
    pub(crate) fn done(&mut self, task: &str, output: Value) -> &mut Self {
        self.done_with(task, output, None)
    }

    /// An attempt went well, and its agent says how well.
    pub(crate) fn done_with(&mut self, task: &str, output: Value, quality: Option<f64>) -> &mut Self {
        let (key, _) = self.created(task);
        let outcome = TaskCompleted { output, quality, usage: None, agent: None };
        self.push(Fact::Completed(key, Box::new(outcome)))
    }

    /// An attempt failed for good.
    pub(crate) fn failed(&mut self, task: &str, code: &str) -> &mut Self {
        self.fails(task, code, false)
    }

    /// An attempt failed, and another may go well.
    pub(crate) fn fails_for_now(&mut self, task: &str, code: &str) -> &mut Self {
        self.fails(task, code, true)
    }

    fn fails(&mut self, task: &str, code: &str, retryable: bool) -> &mut Self {
        let (key, _) = self.created(task);
        let error =
            TaskError { code: code.to_owned(), message: "no".to_owned(), retryable, retry_after: None };
        self.push(Fact::Failed(key, error))
    }

    pub(crate) fn fired(&mut self, timer: Timer) -> &mut Self {
        assert!(self.timers().contains(&timer), "{timer} was not set, but {:?}", self.timers());
        self.push(Fact::Fired(timer))
    }

    pub(crate) fn push(&mut self, fact: Fact) -> &mut Self {
        let event = event(self.log.len() as u64 + 1, fact);
        self.gathered = self.run.gathered(&event);
        let step = self.run.apply(&event);
        assert_eq!(step.stray, None);
        self.log.push(event);
        self.decided.extend(step.decisions.clone());
        self.step = step.decisions;
        self.check();
        self
    }

    /// Whoever reads the log, or goes on from a state that was written down, has the same run.
    fn check(&mut self) {
        let Fact::Started(started) = &self.log[0].fact else { panic!("a run begins") };
        let mut replay = Replay::begin(&self.log[0], started, self.run.plan());
        self.log[1..].iter().for_each(|event| replay.take(event));
        assert_eq!(replay.finish().0, self.run);
        if let Some(saved) = self.run.save() {
            let restored = Run::restore(&self.log[0], started, self.run.plan(), &saved);
            assert_eq!(restored.as_ref(), Ok(&self.run), "{}", String::from_utf8_lossy(&saved));
        }
    }

    /// The work that the last event led to.
    pub(crate) fn new_work(&self) -> Vec<String> {
        let created = self.step.iter().filter_map(|decision| match &decision.action {
            Action::Create(key, _) => Some(key.task.to_string()),
            _ => None,
        });
        created.collect()
    }

    /// The work that the last event led to giving up.
    pub(crate) fn given_up(&self) -> Vec<String> {
        let given_up = self.step.iter().filter_map(|decision| match &decision.action {
            Action::GiveUp(key, error) => Some(format!("{} {}", key.task, error.code)),
            _ => None,
        });
        given_up.collect()
    }

    /// The runs that the last event led to asking for, by their tasks and attempts.
    pub(crate) fn new_children(&self) -> Vec<String> {
        let started = self.step.iter().filter_map(|decision| match &decision.action {
            Action::StartChild(key, _) => Some(format!("{}.{}", key.task, key.attempt)),
            _ => None,
        });
        started.collect()
    }

    /// The runs that the last event led to cancelling, by their tasks, with the reasons.
    pub(crate) fn cancelled_children(&self) -> Vec<(String, String)> {
        let cancelled = self.step.iter().filter_map(|decision| match &decision.action {
            Action::CancelChild(key, reason) => Some((key.task.to_string(), reason.clone())),
            _ => None,
        });
        cancelled.collect()
    }

    /// What the last event led to telling the task that this run was started for.
    pub(crate) fn report(&self) -> Option<(TaskKey, Result<Value, TaskError>)> {
        self.step.iter().find_map(|decision| match &decision.action {
            Action::Report(key, result) => Some((key.clone(), (**result).clone())),
            _ => None,
        })
    }

    /// The run that was asked for last for a task.
    pub(crate) fn child(&self, task: &str) -> Child {
        let found = self.decided.iter().rev().find_map(|decision| match &decision.action {
            Action::StartChild(key, child) if key.task.as_str() == task => Some((**child).clone()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no run was asked for {task}"))
    }

    /// Whether what is decided may still be missing.
    pub(crate) fn may_be_missing(&self, fits: impl Fn(&Action) -> bool) -> bool {
        self.decided.iter().any(|decision| fits(&decision.action) && self.run.may_be_missing(decision))
    }

    /// The last attempt of a task, and what the agent is given.
    pub(crate) fn created(&self, task: &str) -> (TaskKey, Value) {
        let found = self.decided.iter().rev().find_map(|decision| match &decision.action {
            Action::Create(key, data) if key.task.as_str() == task => Some((key.clone(), data.input.clone())),
            Action::StartChild(key, child) if key.task.as_str() == task => {
                Some((key.clone(), child.input.clone()))
            }
            _ => None,
        });
        found.unwrap_or_else(|| panic!("{task} was not created"))
    }

    /// What a choice is to be made from.
    pub(crate) fn route(&self, task: &str) -> Route {
        let found = self.decided.iter().find_map(|decision| match &decision.action {
            Action::Route(of, route) if of.as_str() == task => Some((**route).clone()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("nothing is to be chosen for {task}"))
    }

    /// What the last attempt of a task has waited for.
    pub(crate) fn origins(&self, task: &str) -> Vec<String> {
        let (key, _) = self.created(task);
        names(self.run.origins(&key.task, key.attempt))
    }

    /// The other items of the loop that the last event was the end of.
    pub(crate) fn gathered(&self) -> Vec<String> {
        names(self.gathered.clone())
    }

    pub(crate) fn timers(&self) -> Vec<Timer> {
        let set = self.decided.iter().filter_map(|decision| match &decision.action {
            Action::SetTimer(timer, _) => Some(timer.clone()),
            _ => None,
        });
        set.collect()
    }

    /// The output of the run, which completed with the last event.
    pub(crate) fn output(&self) -> Value {
        match self.end() {
            Some(End::Completed(end)) => end.output.clone(),
            other => panic!("the run did not complete: {other:?}"),
        }
    }

    /// The code and the task of the failure of the run, which failed with the last event, and its message.
    pub(crate) fn failure(&self) -> (String, String, String) {
        match self.end() {
            Some(End::Failed(end)) => {
                let task = end.task.as_ref().map(ToString::to_string).unwrap_or_default();
                (end.error.code.clone(), task, end.error.message.clone())
            }
            other => panic!("the run did not fail: {other:?}"),
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.run.is_paused()
    }

    /// Whether the last event led to something of this kind.
    pub(crate) fn led_to(&self, is_it: impl Fn(&Action) -> bool) -> bool {
        self.step.iter().any(|decision| is_it(&decision.action))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.end().is_none()
    }

    /// How many tasks were done, failed, were skipped or cancelled in all.
    pub(crate) fn counts(&self) -> [u32; 4] {
        let tasks = match self.end() {
            Some(End::Completed(end)) => end.tasks,
            Some(End::Failed(end)) => end.tasks,
            Some(End::Cancelled(end)) => end.tasks,
            other => panic!("the run goes on: {other:?}"),
        };
        [tasks.done, tasks.failed, tasks.skipped, tasks.cancelled]
    }

    fn end(&self) -> Option<&End> {
        self.decided.iter().find_map(|decision| match &decision.action {
            Action::End(end) => Some(end),
            _ => None,
        })
    }

    /// How a task stands.
    pub(crate) fn status(&self, task: &str) -> &'static str {
        let views = self.run.tasks();
        views.iter().find(|view| view.id.as_str() == task).map_or("-", |view| view.status)
    }

    /// Whether an outcome of an attempt would belong to nothing.
    pub(crate) fn is_stray(&self, task: &str, attempt: u32) -> bool {
        let key = TaskKey {
            capability: "worker".parse().unwrap(),
            lane: Lane::Normal,
            run: run_id(),
            task: task.parse().unwrap(),
            attempt: (1..attempt).fold(Attempt::FIRST, |attempt, _| attempt.next()),
        };
        let outcome = TaskCompleted { output: json!(1), quality: None, usage: None, agent: None };
        self.run.stray(&event(99, Fact::Completed(key, Box::new(outcome)))).is_some()
    }
}

fn names(mut origins: Vec<Origin>) -> Vec<String> {
    origins.sort();
    origins.into_iter().map(|(task, attempt)| format!("{task}.{attempt}")).collect()
}

pub(crate) fn task(id: &str) -> TaskId {
    id.parse().unwrap()
}

/// When the first event was stored.
pub(crate) fn begun() -> DateTime<Utc> {
    time(1)
}

fn request() -> RequestId {
    RequestId { source: "test".to_owned(), id: "1".to_owned() }
}

pub(crate) fn run_id() -> RunId {
    RunId::for_request("workflow.story", &request(), Shards::default())
}

fn event(sequence: u64, fact: Fact) -> Event {
    let id = format!("event-{sequence}");
    Event { run: run_id(), id, sequence, time: time(sequence), fact, defect: None }
}

/// A second for each event.
fn time(sequence: u64) -> DateTime<Utc> {
    let begin: DateTime<Utc> = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    begin + TimeDelta::seconds(i64::try_from(sequence).unwrap())
}
