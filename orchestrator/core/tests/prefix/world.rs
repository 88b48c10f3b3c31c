//! What may happen in a run.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use mesh_core::{Action, Decision, Event, Fact, Plan, Replay, Run, Started};
use mesh_schemas::payload::{
    CancelSignal, Parent, RetrySignal, TakenOver, TaskCompleted, TaskError, WorkflowStarted,
};
use mesh_schemas::{Attempt, Lane, RULES_VERSION, RequestId, RunId, Shards, TaskId, TaskKey, Timer};
use serde_json::json;

/// All runs tell what they come to.
fn parent() -> Parent {
    Parent {
        run: run_id(),
        workflow: "outer".to_owned(),
        task: "t".parse().unwrap(),
        attempt: Attempt::FIRST,
        depth: 1,
        wait: true,
        version: None,
        deadline: DateTime::from_timestamp(1_800_000_000, 0),
    }
}

fn run_id() -> RunId {
    let request = RequestId { source: "test".to_owned(), id: "1".to_owned() };
    RunId::for_request("workflow.random", &request, Shards::default())
}

/// A world of one run: the log so far, and what is decided but not yet in the log.
pub(crate) struct World {
    pub(crate) plan: Arc<Plan>,
    pub(crate) log: Vec<Event>,
    pub(crate) run: Run,
    pub(crate) decided: Vec<Decision>,
    /// Decisions whose own events are not in the log yet.
    pub(crate) unstored: Vec<Decision>,
    /// Attempts that agents may still answer, timers that may still fire.
    pub(crate) open: Vec<TaskKey>,
    pub(crate) timers: Vec<Timer>,
    /// Loops whose width is not chosen yet.
    pub(crate) routes: Vec<TaskId>,
    now: DateTime<Utc>,
}

impl World {
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        Self::taking_over(plan, None)
    }

    /// A run that does this one again from tasks on, and the tasks that it takes over; none if nothing is left to do.
    pub(crate) fn again(&self, from: &[TaskId]) -> Option<(Self, BTreeSet<TaskId>)> {
        let Fact::Started(started) = &self.log[0].fact else { unreachable!("a log begins with started") };
        let mut replay = Replay::keeping(&self.log[0], started, Arc::clone(&self.plan));
        self.log[1..].iter().for_each(|event| replay.take(event));
        let taken_over = replay.finish().0.taken_over(from).ok()?;
        let taken = taken_over.tasks.keys().cloned().collect();
        Some((Self::taking_over(Arc::clone(&self.plan), Some(taken_over)), taken))
    }

    fn taking_over(plan: Arc<Plan>, taken_over: Option<TakenOver>) -> Self {
        let started = Started {
            workflow: Some("random".parse().unwrap()),
            data: WorkflowStarted {
                digest: plan.digest.clone(),
                rules: RULES_VERSION,
                config: None,
                input: json!({}),
                request: RequestId { source: "test".to_owned(), id: "1".to_owned() },
                capability: None,
                parent: Some(parent()),
                taken_over,
                pause_before: Vec::new(),
            },
            lost: None,
            correlation_id: None,
            trace: None,
        };
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let event = event(1, now, Fact::Started(Box::new(started.clone())));
        let (run, step) = Run::start(&event, &started, Arc::clone(&plan));
        let mut world = Self {
            plan,
            log: vec![event],
            run,
            decided: Vec::new(),
            unstored: Vec::new(),
            open: Vec::new(),
            timers: vec![Timer::Deadline],
            routes: Vec::new(),
            now,
        };
        world.take(step.decisions);
        world
    }

    fn take(&mut self, decisions: Vec<Decision>) {
        for decision in &decisions {
            match &decision.action {
                Action::Create(key, _) | Action::StartChild(key, _) => self.open.push(key.clone()),
                Action::SetTimer(timer, _) => self.timers.push(timer.clone()),
                Action::Route(task, _) => self.routes.push(task.clone()),
                Action::Pause(..) | Action::Resume(_) => {}
                Action::GiveUp(..) | Action::End(_) => self.unstored.push(decision.clone()),
                // What others are told stands in their logs.
                Action::CancelChild(..) | Action::Report(..) => {}
            }
        }
        self.decided.extend(decisions);
    }

    pub(crate) fn push(&mut self, fact: Fact) {
        self.now += TimeDelta::milliseconds(250);
        let event = event(self.log.len() as u64 + 1, self.now, fact);
        let step = self.run.apply(&event);
        self.log.push(event);
        self.take(step.decisions);
    }

    /// Has the run end: every task is answered, and every timer fires.
    pub(crate) fn end(&mut self) {
        // Each round answers or wakes something; there are at most six tasks of nine pieces of work, of two attempts, with a
        // pause each.
        self.push(Fact::Resume);
        for _ in 0..400 {
            if self.run.is_paused() {
                self.push(Fact::Resume);
            } else if let Some(key) = self.open.pop() {
                self.push(Fact::Completed(key, Box::new(completed(json!(2)))));
            } else if let Some(at) =
                self.timers.iter().rposition(|timer| !matches!(timer, Timer::Deadline | Timer::Finally))
            {
                let timer = self.timers.remove(at);
                self.push(Fact::Fired(timer));
            } else if let Some(Decision { action: Action::GiveUp(key, error), .. }) = self.unstored.pop() {
                self.push(Fact::Failed(key, error));
            } else if let Some(task) = self.routes.pop() {
                self.push(Fact::Routed(task, 1));
            }
        }
    }

    /// Lets one thing happen, chosen by a number.
    pub(crate) fn happen(&mut self, choice: u16) {
        let pick = |len: usize| usize::from(choice / 16) % len.max(1);
        match choice % 16 {
            0..=5 if !self.open.is_empty() => {
                let key = self.open.remove(pick(self.open.len()));
                let whole = choice / 16;
                let output =
                    if choice.is_multiple_of(5) { json!(f64::from(whole) / 7.0) } else { json!(whole) };
                let output = if key.capability.as_str() == "planner" { planned(whole) } else { output };
                let quality = choice.is_multiple_of(3).then(|| f64::from(whole % 11) / 10.0);
                let outcome = TaskCompleted { quality, ..completed(output) };
                self.push(Fact::Completed(key, Box::new(outcome)));
            }
            6 if !self.open.is_empty() => {
                // Its result is lost: it is given up, and fails when that is stored.
                let key = self.open.remove(pick(self.open.len()));
                self.push(Fact::Lost(key, error(false)));
            }
            7..=8 if !self.open.is_empty() => {
                let key = self.open.remove(pick(self.open.len()));
                self.push(Fact::Failed(key, error(choice.is_multiple_of(2))));
            }
            9 if !self.open.is_empty() => {
                // The attempt is answered twice, in both ways.
                let key = self.open.remove(pick(self.open.len()));
                self.push(Fact::Failed(key.clone(), error(true)));
                self.push(Fact::Completed(key, Box::new(completed(json!(1)))));
            }
            10..=11 if !self.timers.is_empty() => {
                let timer = self.timers.remove(pick(self.timers.len()));
                self.push(Fact::Fired(timer));
            }
            12 if !self.unstored.is_empty() => match self.unstored.remove(pick(self.unstored.len())).action {
                Action::GiveUp(key, error) => self.push(Fact::Failed(key, error)),
                _ => self.push(Fact::Ended),
            },
            13 if (choice / 16).is_multiple_of(8) => self.push(Fact::Cancel(CancelSignal::default())),
            13..=14 if !self.routes.is_empty() => {
                let task = self.routes.remove(pick(self.routes.len()));
                self.push(Fact::Routed(task, u32::from(choice / 16) % 4));
            }
            14 => match choice / 16 % 8 {
                0 => self.push(Fact::Pause(CancelSignal::default())),
                1..=3 => self.push(Fact::Resume),
                4 => self.push(Fact::Retry(RetrySignal { task: None, input: Some(json!(3)) })),
                _ => self.push(Fact::Check),
            },
            15 => {
                let task = format!("t{}", pick(9)).parse().unwrap();
                let attempt = if choice % 32 == 15 { Attempt::FIRST } else { Attempt::FIRST.next().next() };
                let key = TaskKey {
                    capability: "worker".parse().unwrap(),
                    lane: Lane::Normal,
                    run: run_id(),
                    task,
                    attempt,
                };
                // It may answer an attempt that is open, or one that never was.
                self.open.retain(|open| *open != key);
                self.push(Fact::Failed(key, error(true)));
            }
            _ => self.push(Fact::Check),
        }
    }
}

/// What a planner returns: sometimes what cannot be followed, and sometimes with a planner in it.
fn planned(number: u16) -> serde_json::Value {
    let second = match number % 4 {
        0 => json!({"agent": "worker", "needs": ["nobody"]}),
        1 => json!({"agent": "planner", "plan": true, "needs": ["x"]}),
        _ => json!({"agent": "worker", "needs": ["x"], "when": "tasks.x.output > 100"}),
    };
    json!({
        "tasks": {"x": {"agent": "worker", "retry": {"initial": "0s"}}, "y": second, "z": {"agent": "worker"}},
        "output": "${tasks.x.output}",
    })
}

fn event(sequence: u64, time: DateTime<Utc>, fact: Fact) -> Event {
    Event { run: run_id(), id: format!("event-{sequence}"), sequence, time, fact, defect: None }
}

fn completed(output: serde_json::Value) -> TaskCompleted {
    TaskCompleted { output, quality: None, usage: None, agent: None }
}

fn error(retryable: bool) -> TaskError {
    TaskError { code: "broken".to_owned(), message: "it broke".to_owned(), retryable, retry_after: None }
}
