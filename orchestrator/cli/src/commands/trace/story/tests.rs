use chrono::{DateTime, TimeDelta, Utc};
use mesh_bus::topology::Stream;
use mesh_schemas::{Attempt, Envelope, Headers, Message, Namespace, RunId, StoredMessage, TaskId};
use serde_json::{Value, json};

use super::*;
use crate::commands::runs::RunStatus;

/// Events of a run, made up one after another.
pub(crate) struct Events {
    pub(crate) run: RunId,
    namespace: Namespace,
    facts: Vec<Fact>,
}

/// Milliseconds after the beginning of all things.
pub(crate) fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap() + TimeDelta::milliseconds(ms)
}

impl Events {
    /// A run of the workflow `order`, which began at 0.
    pub(crate) fn new() -> Self {
        Self::of("3.2c0b6e5e-6d1f-5f43-9d0e-6f2a3b0c9a11", None, 0, json!({"digest": digest()}))
    }

    /// Another run that began at a time, for a reason.
    pub(crate) fn of(run: &str, cause: Option<String>, ms: i64, data: Value) -> Self {
        let namespace = Namespace::new("mesh").unwrap();
        let mut events = Self { run: run.parse().unwrap(), namespace, facts: Vec::new() };
        events.add(ms, Stream::Events, format!("workflow.started.order.-.{run}"), cause, data);
        events
    }

    /// Adds an event; returns its id.
    fn add(&mut self, ms: i64, stream: Stream, rest: String, cause: Option<String>, data: Value) -> String {
        let id = format!("mesh.{rest}");
        let type_: Vec<&str> = rest.split('.').take(2).collect();
        let by_agent = data.get("agent").is_some();
        let source = if by_agent {
            "/mesh/agents/worker".to_owned()
        } else {
            mesh_orchestrator::source(&self.namespace)
        };
        let mut event = Envelope::new(id.clone(), source, type_.join("."), data);
        event.causationid = cause;
        let (headers, body) = event.encode().unwrap();
        let message = Message { subject: id.clone(), headers, payload: body.into() };
        let stored = StoredMessage { message, sequence: self.facts.len() as u64 + 1, time: at(ms) };
        self.facts.push(Fact::of(&self.namespace, stream, &stored).unwrap());
        id
    }

    pub(crate) fn begin(&self) -> String {
        self.facts[0].id.clone()
    }

    pub(crate) fn created(&mut self, ms: i64, task: &str, attempt: u32, cause: &str) -> String {
        let subject = format!("task.created.work.normal.{}.{task}.{attempt}", self.run);
        self.add(ms, Stream::Tasks, subject, Some(cause.to_owned()), json!({}))
    }

    pub(crate) fn assigned(&mut self, ms: i64, task: &str, attempt: u32, delivery: u64) {
        let subject = format!("task.assigned.work.normal.{}.{task}.{attempt}.{delivery}", self.run);
        let data = json!({"agent": format!("worker-{delivery}"), "delivery": delivery});
        self.add(ms, Stream::Notes, subject, None, data);
    }

    pub(crate) fn released(&mut self, ms: i64, task: &str, attempt: u32, delivery: u64) {
        let subject = format!("task.released.work.normal.{}.{task}.{attempt}.{delivery}", self.run);
        self.add(ms, Stream::Notes, subject, None, json!({"agent": format!("worker-{delivery}")}));
    }

    pub(crate) fn completed(&mut self, ms: i64, task: &str, attempt: u32) -> String {
        let subject = format!("task.completed.work.normal.{}.{task}.{attempt}", self.run);
        let created = format!("mesh.task.created.work.normal.{}.{task}.{attempt}", self.run);
        self.add(ms, Stream::Events, subject, Some(created), json!({"output": 1, "agent": "worker-1"}))
    }

    pub(crate) fn failed(&mut self, ms: i64, task: &str, attempt: u32, code: &str) -> String {
        let subject = format!("task.failed.work.normal.{}.{task}.{attempt}", self.run);
        let created = format!("mesh.task.created.work.normal.{}.{task}.{attempt}", self.run);
        let error = json!({"code": code, "message": "it broke", "retryable": true});
        self.add(ms, Stream::Events, subject, Some(created), json!({"error": error, "agent": "worker-1"}))
    }

    /// What the orchestrator says of an attempt.
    pub(crate) fn reported(&mut self, ms: i64, capability: &str, task: &str, cause: &str) -> String {
        let subject = format!("task.completed.{capability}.normal.{}.{task}.1", self.run);
        self.add(ms, Stream::Events, subject, Some(cause.to_owned()), json!({"output": 1}))
    }

    pub(crate) fn given_up(&mut self, ms: i64, task: &str, cause: &str) -> String {
        let subject = format!("task.failed.work.normal.{}.{task}.1", self.run);
        let error = json!({"code": "run_ended", "message": "it is over", "retryable": false});
        self.add(ms, Stream::Events, subject, Some(cause.to_owned()), json!({"error": error}))
    }

    pub(crate) fn fired(&mut self, ms: i64, timer: &str, cause: &str) -> String {
        let subject = format!("timer.fired.-.-.{}.{timer}", self.run);
        self.add(ms, Stream::Events, subject, Some(cause.to_owned()), json!({"due": at(ms)}))
    }

    pub(crate) fn signalled(&mut self, ms: i64, signal: &str) -> String {
        let subject = format!("workflow.signalled.order.-.{}.{signal}.x", self.run);
        self.add(ms, Stream::Events, subject, None, json!({"reason": "somebody said so"}))
    }

    pub(crate) fn pause(&mut self, ms: i64, verb: &str, cause: &str) -> String {
        let subject = format!("workflow.{verb}.order.-.{}.1", self.run);
        self.add(ms, Stream::Events, subject, Some(cause.to_owned()), json!({"task": "pay"}))
    }

    pub(crate) fn ended(&mut self, ms: i64, verb: &str, cause: &str) -> String {
        let subject = format!("workflow.{verb}.order.-.{}", self.run);
        let data = match verb {
            "failed" => json!({"error": {"code": "broken", "message": "it broke"}}),
            _ => json!({"output": 1}),
        };
        self.add(ms, Stream::Events, subject, Some(cause.to_owned()), data)
    }

    /// The story so far.
    pub(crate) fn told(&self) -> Story {
        Story::of(&self.namespace, self.facts.clone()).unwrap()
    }

    /// The story, as it stands at a time.
    pub(crate) fn story(&self, ms: i64) -> Story {
        let mut story = self.told();
        story.settle(at(ms));
        story
    }
}

pub(crate) fn digest() -> String {
    format!("sha256:{}", "0".repeat(64))
}

/// The steps of the critical path: `task kind milliseconds`.
fn steps(story: &Story) -> Vec<String> {
    let steps = story.critical_path.steps.iter().filter(|step| step.ms > 0);
    steps
        .map(|step| {
            let task = step.task.as_ref().map_or("-", TaskId::as_str);
            format!("{task} {:?} {}", step.kind, step.ms)
        })
        .collect()
}

/// `fetch` and `slow` side by side, then `load`, which fails once.
pub(crate) fn completed() -> Events {
    let mut events = Events::new();
    let begin = events.begin();
    events.created(10, "fetch", 1, &begin);
    events.created(11, "slow", 1, &begin);
    events.assigned(20, "fetch", 1, 1);
    events.assigned(500, "slow", 1, 1);
    events.completed(100, "fetch", 1);
    let slow = events.completed(1_000, "slow", 1);
    events.created(1_010, "load", 1, &slow);
    events.assigned(1_020, "load", 1, 1);
    let failed = events.failed(1_100, "load", 1, "flaky");
    let fired = events.fired(1_300, "retry-load-1", &failed);
    events.created(1_310, "load", 2, &fired);
    events.assigned(1_310, "load", 2, 1);
    let load = events.completed(1_400, "load", 2);
    events.ended(1_420, "completed", &load);
    events
}

#[test]
fn the_course_of_a_run_is_told_by_its_events() {
    let story = completed().story(9_999);
    assert_eq!((story.status, story.duration_ms), (RunStatus::Completed, 1_420));
    let load = story.tasks.iter().find(|task| task.id.as_str() == "load").unwrap();
    let told: Vec<_> = load
        .attempts
        .iter()
        .map(|attempt| {
            (attempt.outcome, attempt.wait_ms, attempt.work_ms, attempt.took_ms, attempt.backoff_ms)
        })
        .collect();
    assert_eq!(
        told,
        [
            (Outcome::Failed, Some(10), Some(80), 90, Some(200)),
            (Outcome::Completed, Some(0), Some(90), 90, None)
        ]
    );
    assert_eq!(load.attempts[0].error.as_ref().unwrap().code, "flaky");
    assert!(story.waiting_for.is_empty() && story.timers.is_empty());
}

#[test]
fn the_critical_path_leads_without_gaps_from_the_beginning_to_the_end() {
    let story = completed().story(9_999);
    assert_eq!(
        steps(&story),
        [
            "slow Mesh 11",
            "slow Wait 489",
            "slow Work 500",
            "load Mesh 10",
            "load Wait 10",
            "load Work 80",
            "load Retry 200",
            "load Mesh 10",
            "load Work 90",
            "- Mesh 20",
        ]
    );
    assert_eq!(story.critical_path.total_ms, 1_420);
    let critical: Vec<_> = story.tasks.iter().map(|task| (task.id.as_str(), task.critical_ms)).collect();
    assert_eq!(critical, [("fetch", 0), ("slow", 1_000), ("load", 400)]);
}

#[test]
fn events_may_come_in_any_order() {
    let mut events = completed();
    events.facts.reverse();
    let story = events.story(9_999);
    assert_eq!(steps(&story), steps(&completed().story(9_999)));
}

#[test]
fn what_hangs_is_told_with_what_it_waits_for() {
    let mut events = Events::new();
    let begin = events.begin();
    events.created(10, "fetch", 1, &begin);
    let story = events.story(12_010);
    assert_eq!(story.waiting_for, ["task 'fetch': waiting 12s for an agent with capability 'work'"]);
    assert_eq!(steps(&story), ["fetch Mesh 10", "fetch Wait 12000"]);

    events.assigned(20, "fetch", 1, 1);
    let story = events.story(40_020);
    assert_eq!(story.waiting_for, ["task 'fetch': with agent worker-1 for 40s"]);
    let mut silent = events.story(40_020);
    silent.note_silence(&|_| false);
    silent.settle(at(40_020));
    assert!(
        silent.waiting_for[0].contains("worker-1 for 40s, which is not alive"),
        "{:?}",
        silent.waiting_for
    );
    assert_eq!(steps(&story), ["fetch Mesh 10", "fetch Wait 10", "fetch Work 40000"]);

    events.released(30_000, "fetch", 1, 1);
    let story = events.story(40_020);
    assert_eq!(story.waiting_for, ["task 'fetch': waiting 10s for an agent with capability 'work'"]);
    events.assigned(40_000, "fetch", 1, 2);
    let story = events.story(41_000);
    assert_eq!(story.waiting_for, ["task 'fetch': with agent worker-2 for 1s (delivery 2)"]);
    let lost = "fetch Lost 39980";
    assert!(steps(&story).contains(&lost.to_owned()), "{:?}", steps(&story));

    events.failed(42_000, "fetch", 1, "flaky");
    let mut story = events.told();
    story.tasks[0].attempts[0].retry_at = Some(at(52_000));
    story.settle(at(45_000));
    assert_eq!(
        story.waiting_for,
        ["task 'fetch': waiting for the timer until 00:00:52.000 (7s) to try again"]
    );
    assert!(steps(&story).ends_with(&["fetch Retry 3000".to_owned()]), "{:?}", steps(&story));
}

#[test]
fn what_is_open_for_longest_is_what_a_run_hangs_at() {
    let mut events = Events::new();
    let begin = events.begin();
    events.created(10, "hangs", 1, &begin);
    events.created(10, "quick", 1, &begin);
    events.assigned(20, "hangs", 1, 1);
    events.assigned(20, "quick", 1, 1);
    let quick = events.completed(5_000, "quick", 1);
    events.created(5_010, "next", 1, &quick);
    assert_eq!(steps(&events.story(6_000)), ["hangs Mesh 10", "hangs Wait 10", "hangs Work 5980"]);
}

#[test]
fn a_pause_is_told_and_is_part_of_the_path() {
    let mut events = Events::new();
    let begin = events.begin();
    let asked = events.signalled(100, "pause");
    let paused = events.pause(110, "paused", &asked);
    let story = events.story(5_110);
    assert_eq!(story.status, RunStatus::Paused);
    assert!(
        story.waiting_for[0].starts_with("paused for 5s before or at task 'pay'"),
        "{:?}",
        story.waiting_for
    );
    assert_eq!(steps(&story), ["- Signal 100", "- Mesh 10", "- Paused 5000"]);

    let resume = events.signalled(6_000, "resume");
    let resumed = events.pause(6_010, "resumed", &resume);
    events.created(6_020, "pay", 1, &resumed);
    events.assigned(6_030, "pay", 1, 1);
    let pay = events.completed(6_100, "pay", 1);
    events.ended(6_110, "completed", &pay);
    let story = events.story(9_999);
    assert_eq!(story.critical_path.total_ms, 6_110);
    assert_eq!(story.critical_path.by_kind[&Kind::Paused], 5_890);
    assert_eq!(story.pauses.len(), 1);
    assert!(!begin.is_empty() && !paused.is_empty());
}

#[test]
fn what_the_deadline_ended_is_followed_back_from_what_was_open() {
    let mut events = Events::new();
    let begin = events.begin();
    events.created(10, "fetch", 1, &begin);
    events.created(11, "other", 1, &begin);
    events.assigned(20, "other", 1, 1);
    let fired = events.fired(60_000, "deadline", &begin);
    events.given_up(60_010, "fetch", &fired);
    events.given_up(60_010, "other", &fired);
    events.ended(60_020, "failed", &fired);
    let story = events.story(99_999);
    assert_eq!(steps(&story), ["fetch Mesh 10", "fetch Wait 59990", "- Mesh 20"]);
    assert_eq!(story.tasks[0].attempts[0].outcome, Outcome::GivenUp);
    assert_eq!(story.tasks[0].attempts[0].wait_ms, Some(60_000));
    assert_eq!(story.timers.len(), 1);
}

#[test]
fn the_path_leads_through_the_runs_that_a_run_started() {
    let mut events = Events::new();
    let (begin, parent) = (events.begin(), events.run);
    let asked = format!("mesh.workflow.called.child.-.{parent}.sub.1");
    let data = json!({"digest": digest(), "parent": {"run": parent, "workflow": "order", "task": "sub", "attempt": 1,
        "depth": 1, "wait": true}});
    let mut child = Events::of("5.83ccf3a7-98e2-51e3-bc13-fb858be8e2f5", Some(asked), 20, data);
    let child_begin = child.begin();
    child.created(30, "one", 1, &child_begin);
    child.assigned(40, "one", 1, 1);
    let one = child.completed(140, "one", 1);
    child.ended(160, "completed", &one);
    events.created(10, "fetch", 1, &begin);
    let sub = events.reported(150, "child", "sub", &one);
    events.ended(170, "completed", &sub);

    let mut story = events.told();
    let task = story.tasks.iter_mut().find(|task| task.id.as_str() == "sub").unwrap();
    let attempt = &mut task.attempts[0];
    (attempt.run, attempt.created) = (Some(child.run), at(0));
    attempt.story = Some(Box::new(child.told()));
    story.settle(at(9_999));
    assert_eq!(
        steps(&story),
        ["sub Mesh 20", "one Mesh 10", "one Wait 10", "one Work 100", "sub Mesh 10", "- Mesh 20"]
    );
    let sub = story.tasks.iter().find(|task| task.id.as_str() == "sub").unwrap();
    assert_eq!((sub.critical_ms, story.critical_path.total_ms), (150, 170));

    // Of a run that cannot be read it is known how long it took.
    let mut story = events.told();
    let task = story.tasks.iter_mut().find(|task| task.id.as_str() == "sub").unwrap();
    (task.attempts[0].run, task.attempts[0].created) = (Some(child.run), at(0));
    story.settle(at(9_999));
    assert_eq!(steps(&story), ["sub Run 150", "- Mesh 20"]);
}

#[test]
fn the_first_outcome_counts_and_later_ones_are_told() {
    let mut events = completed();
    events.failed(2_000, "fetch", 1, "late");
    let story = events.story(9_999);
    let fetch = &story.tasks[0].attempts[0];
    assert_eq!((fetch.outcome, fetch.late), (Outcome::Completed, 1));
}

#[test]
fn an_outcome_without_an_envelope_is_told_too() {
    let mut events = Events::new();
    let begin = events.begin();
    events.created(10, "fetch", 1, &begin);
    let subject = format!("mesh.task.completed.work.normal.{}.fetch.1", events.run);
    let message = Message { subject, headers: Headers::new(), payload: "{\"output\": 1}".into() };
    let stored = StoredMessage { message, sequence: 9, time: at(50) };
    events.facts.push(Fact::of(&events.namespace, Stream::Events, &stored).unwrap());
    let story = events.story(60);
    let fetch = &story.tasks[0].attempts[0];
    assert_eq!((fetch.attempt, fetch.outcome, fetch.took_ms), (Attempt::FIRST, Outcome::Completed, 40));
}

#[test]
fn events_without_their_beginning_are_no_run() {
    let events = Events::new();
    assert!(Story::of(&events.namespace, Vec::new()).is_none());
}
