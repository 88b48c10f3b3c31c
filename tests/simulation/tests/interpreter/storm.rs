//! Logs in which anything may come at any time: outcomes in any order, twice, late, of attempts that nobody asked for; timers
//! before their time; signals; ends that nobody decided.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mesh_schemas::payload::Parent;
use mesh_schemas::{Attempt, Headers, Lane, RunId, Subject, TaskKey, TaskVerb, Timer, WorkflowVerb};
use mesh_simulation::workload::{Choices, Workload};
use serde_json::{Value, json};

use crate::world::World;

/// Of how many seeds logs are made. A build with optimisations can do more in the same time.
const SEEDS: u64 = if cfg!(debug_assertions) { 500 } else { 50_000 };
/// Of every so many seeds, each prefix of the logs is interpreted too.
const PREFIXES: u64 = 10;

impl World {
    /// Lets one thing happen.
    fn happen(&mut self, choices: &mut Choices) {
        self.pass(Duration::from_micros(choices.among(0..=1_500_000)));
        match choices.weighted(&[
            (50, 0),
            (16, 1),
            (1, 2),
            (18, 3),
            (5, 4),
            (3, 5),
            (4, 6),
            (3, 7),
            (2, 8),
            (1, 9),
            (12, 10),
        ]) {
            0 if !self.open.is_empty() => {
                let (key, created) = self.open.remove(choices.below(self.open.len()));
                self.answer(&key, &created);
            }
            1 if self.timers.len() > 1 => {
                let (timer, _) = self.timers.remove(1 + choices.below(self.timers.len() - 1));
                self.fire(timer);
            }
            2 => self.fire(choices.pick(&[&Timer::Deadline, &Timer::Finally]).clone()),
            3 if !self.unstored.is_empty() => {
                let (subject, data) = self.unstored.remove(choices.below(self.unstored.len()));
                self.store(&subject, &data);
            }
            4 => {
                // One that is open, whose agent then comes too late, or one that has its outcome.
                let open = self.open.iter().map(|(key, _)| key);
                let keys: Vec<TaskKey> = open.chain(&self.answered).cloned().collect();
                if !keys.is_empty() {
                    self.outcome(&keys[choices.below(keys.len())], choices);
                }
            }
            5 if !self.open.is_empty() => {
                let key = self.open[choices.below(self.open.len())].0.clone();
                self.malformed(&key, choices);
            }
            6 => {
                let key = self.any_key(choices);
                self.outcome(&key, choices);
            }
            7 => {
                let key = if self.answered.is_empty() || choices.chance("any timer", 40) {
                    self.any_key(choices)
                } else {
                    self.answered[choices.below(self.answered.len())].clone()
                };
                self.fire(match choices.below(6) {
                    0 => Timer::Grace(key.task),
                    1 => Timer::Join(key.task),
                    _ => Timer::Retry { task: key.task, after: key.attempt },
                });
            }
            8 => self.signal(choices),
            10 if self.is_paused() => {
                let id = format!("on-{}", self.log.len()).parse().expect("an id");
                let signal = choices.pick(&["resume", "resume", "retry"]);
                self.store_bytes(&self.signalled(signal, id), Headers::new(), Vec::new());
            }
            9 if choices.chance("end out of nowhere", 20) => {
                self.store(&self.workflow_subject(WorkflowVerb::Completed), &json!({ "output": 1 }));
            }
            _ => {}
        }
    }

    /// An attempt that may exist or not, perhaps led to the wrong place.
    fn any_key(&self, choices: &mut Choices) -> TaskKey {
        let works = self.workflow.works();
        let (id, work) = works[choices.below(works.len())].clone();
        let mut key = TaskKey {
            capability: work.agent.clone(),
            lane: Lane::Normal,
            run: self.id,
            task: id,
            attempt: choices.pick(&["1", "1", "2", "3", "9"]).parse::<Attempt>().expect("an attempt"),
        };
        match choices.below(6) {
            0 => key.capability = "somebody_else".parse().expect("a capability"),
            1 => key.lane = Lane::High,
            2 => key.task = "nobody_knows".parse().expect("a task"),
            _ => {}
        }
        key
    }

    fn outcome(&mut self, key: &TaskKey, choices: &mut Choices) {
        if choices.chance("completed", 50) {
            self.store(
                &key.subject(TaskVerb::Completed),
                &json!({ "output": { "n": 3, "text": "", "ok": true } }),
            );
        } else {
            let error =
                json!({ "code": "busy", "message": "", "retry_after": choices.pick(&[-1.0, 0.0, 1e9]) });
            self.store(&key.subject(TaskVerb::Failed), &json!({ "error": error }));
        }
    }

    fn malformed(&mut self, key: &TaskKey, choices: &mut Choices) {
        let completed = key.subject(TaskVerb::Completed);
        let failed = key.subject(TaskVerb::Failed);
        match choices.below(6) {
            0 => self.store_bytes(&completed, Headers::new(), b"{".to_vec()),
            1 => self.store(&completed, &json!({ "result": 1 })),
            2 => self.store_bytes(
                &completed,
                Headers::new(),
                json!({ "output": null }).to_string().into_bytes(),
            ),
            3 => self.store(&failed, &json!({ "error": "busy" })),
            4 => self.store(&failed, &json!({ "error": { "code": 1, "message": "", "retryable": true } })),
            _ => self.store(&failed, &json!({ "error": { "code": "x", "message": "", "retryable": "yes" } })),
        }
    }

    fn signal(&mut self, choices: &mut Choices) {
        let id = |choices: &mut Choices| choices.pick(&["s1", "s2", "s3"]).parse().expect("an id");
        let cancel = self.signalled("cancel", id(choices));
        match choices.below(11) {
            0 => self.store(&cancel, &json!({ "reason": "enough" })),
            1 => self.store(&cancel, &json!({})),
            2 => self.store_bytes(&cancel, Headers::new(), Vec::new()),
            3 => self.store_bytes(&cancel, Headers::new(), b"no json".to_vec()),
            4 => self.store(&cancel, &json!({ "reason": 1 })),
            5 => self.store(&self.signalled("pause", id(choices)), &json!({ "reason": "lunch" })),
            6 => self.store_bytes(&self.signalled("pause", id(choices)), Headers::new(), Vec::new()),
            7 => self.store_bytes(&self.signalled("resume", id(choices)), Headers::new(), Vec::new()),
            8 => {
                let data = json!({ "task": self.any_key(choices).task, "input": { "n": 1 } });
                self.store(&self.signalled("retry", id(choices)), &data);
            }
            9 => self.store(&self.signalled("retry", id(choices)), &json!({ "task": "no task" })),
            _ => self.store(&self.signalled("check", id(choices)), &Value::Null),
        }
    }
}

/// A run with a random log.
fn run(workload: &Workload, place: usize, choices: &mut Choices) -> World {
    live(World::new(workload, place), choices)
}

/// The task of another run that this one is started for.
fn parent(world: &World, choices: &mut Choices) -> Parent {
    let wait = choices.chance("waited for", 80);
    let deadline = choices.chance("limited by a task", 60);
    Parent {
        run: RunId::from_tokens("0", "00000000-0000-5000-8000-000000000000").expect("a run"),
        workflow: "around".to_owned(),
        task: "around".parse().expect("a task"),
        attempt: Attempt::FIRST,
        depth: choices.pick(&[1, 2, 16]),
        wait,
        version: None,
        deadline: deadline.then(|| world.now + Duration::from_millis(choices.among(0..=20_000))),
    }
}

/// A run with a random log that does another one again, if that can be.
fn again(workload: &Workload, place: usize, world: &World) -> Option<World> {
    let choices = &mut Choices::new(workload.seed ^ 0xa6a1_0000 ^ (place as u64) << 40);
    if !world.has_ended() || world.script.workflow().is_none() {
        return None;
    }
    let tasks = world.workflow.tasks.keys().filter(|_| choices.chance("again from", 12));
    let again = world.again(workload, place, &tasks.cloned().collect::<Vec<_>>())?;
    Some(live(again, choices))
}

/// Gives a run a random log.
pub(crate) fn live(mut world: World, choices: &mut Choices) -> World {
    if choices.chance("before it begins", 10) {
        world.signal(choices);
    }
    // Tasks start runs of workflows only.
    if world.script.workflow().is_some() && choices.chance("started for a task", 30) {
        world.parent = Some(parent(&world, choices));
    }
    let tasks = world.workflow.tasks.keys();
    let named = tasks.filter(|task| choices.chance("pause before by request", 4) && !world.takes(task));
    world.pause_before = named.cloned().collect();
    world.start();
    for _ in 0..choices.among(0..=60) {
        world.happen(choices);
    }
    world
}

/// Whether the ids of what is planned look so: a letter, and the number of the plan.
fn is_planned(part: &str, letters: &str) -> bool {
    part.split_at_checked(1)
        .is_some_and(|(letter, number)| letters.contains(letter) && number.parse::<u32>().is_ok())
}

/// Everything that came about in a run, for the count.
fn notes(world: &World) -> Vec<&'static str> {
    use mesh_simulation::interpreter::FoundEnd;
    let mut notes = vec![match &world.found.end {
        None => "open",
        Some((_, FoundEnd::Completed(_))) => "completed",
        Some((_, FoundEnd::Cancelled(_))) => "cancelled",
        Some((_, FoundEnd::Failed(data))) => match (&data.task, data.error.code.as_str()) {
            (None, "timeout") => "timed out",
            (None, _) => "no output",
            (Some(_), "expression") => "failed for an expression",
            (Some(_), "malformed_outcome") => "failed for a malformed outcome",
            (Some(_), "quorum_missed") => "failed for a quorum",
            (Some(_), "too_many_failures") => "failed for too many items",
            (Some(_), "repeat_exhausted") => "failed for an endless loop",
            (Some(_), "invalid_plan") => "failed for an invalid plan",
            (Some(_), _) => "failed",
        },
    }];
    let codes: Vec<&str> = world.found.given_up.values().map(|(_, error)| error.code.as_str()).collect();
    let timers = &world.found.timers;
    let is_set = |is_it: fn(&Timer) -> bool| timers.keys().any(is_it);
    let is_created =
        |part: fn(&str) -> bool| world.found.created.keys().any(|(task, _)| task.parts().skip(1).any(part));
    for (note, is_there) in [
        ("impossible attempt", codes.contains(&"expression")),
        ("given up at the end", codes.contains(&"run_ended")),
        ("given up with its group or loop", codes.contains(&"overtaken")),
        ("retry after a pause", is_set(|timer| matches!(timer, Timer::Retry { .. }))),
        ("grace", is_set(|timer| matches!(timer, Timer::Grace(_)))),
        ("what is done finally", is_set(|timer| matches!(timer, Timer::Finally))),
        ("chosen width", !world.found.routed.is_empty()),
        ("paused", !world.found.paused.is_empty()),
        ("resumed", !world.found.resumed.is_empty()),
        ("run of another workflow", !world.found.called.is_empty()),
        ("run that nobody waits for any more", !world.found.uncalled.is_empty()),
        ("report of an output", matches!(world.found.report, Some((_, Ok(_))))),
        ("report of a failure", matches!(world.found.report, Some((_, Err(_))))),
        ("limited join", is_set(|timer| matches!(timer, Timer::Join(_)))),
        ("item, iteration or case", is_created(|part| part.parse::<u32>().is_ok())),
        ("task of a group", is_created(|part| part.parse::<u32>().is_err())),
        ("task of a plan", is_created(|part| is_planned(part, "xyz"))),
        ("task of a plan in a plan", is_created(|part| is_planned(part, "klm"))),
        ("several attempts", world.found.created.keys().any(|(_, attempt)| attempt.get() > 1)),
    ] {
        notes.extend(is_there.then_some(note));
    }
    notes
}

#[test]
fn the_fold_and_the_interpreter_decide_the_same() {
    let begin = Instant::now();
    let (mut runs, mut events) = (0_u32, 0);
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    let mut interpreting = Duration::ZERO;
    for seed in 0..SEEDS {
        let workload = Workload::generate(seed);
        for place in 0..workload.runs.len() {
            let world = run(&workload, place, &mut Choices::new(seed ^ 0x5707_0000 ^ (place as u64) << 40));
            let asked = Instant::now();
            let differences = world.differences();
            interpreting += asked.elapsed();
            assert!(differences.is_empty(), "seed {seed}, run {place}: {differences:#?}\n{}", world.told());
            if seed.is_multiple_of(PREFIXES) {
                prefixes(seed, &world);
            }
            runs += 1;
            events += world.log.len();
            for note in notes(&world) {
                *seen.entry(note).or_default() += 1;
            }
            if let Some(again) = again(&workload, place, &world) {
                let differences = again.differences();
                assert!(
                    differences.is_empty(),
                    "seed {seed}, run {place} again: {differences:#?}\n{}",
                    again.told()
                );
                if seed.is_multiple_of(PREFIXES) {
                    prefixes(seed, &again);
                }
                let what = if again.takes_much() { "done again in part" } else { "done again" };
                *seen.entry(what).or_default() += 1;
            }
        }
    }
    println!("{runs} runs, {events} events, {:?}, of which interpreting {interpreting:?}", begin.elapsed());
    for (note, count) in &seen {
        println!("{:>5.1} %  {note}", 100.0 * *count as f64 / f64::from(runs));
    }
    let least = u64::from(runs) / 500;
    for note in [
        "open",
        "completed",
        "cancelled",
        "timed out",
        "no output",
        "failed",
        "failed for an expression",
        "failed for a malformed outcome",
        "failed for a quorum",
        "failed for too many items",
        "failed for an endless loop",
        "failed for an invalid plan",
        "impossible attempt",
        "given up at the end",
        "given up with its group or loop",
        "retry after a pause",
        "grace",
        "limited join",
        "chosen width",
        "done again",
        "done again in part",
        "run of another workflow",
        "run that nobody waits for any more",
        "report of an output",
        "report of a failure",
        "paused",
        "resumed",
        "what is done finally",
        "item, iteration or case",
        "task of a group",
        "task of a plan",
        "task of a plan in a plan",
        "several attempts",
    ] {
        assert!(seen.get(note).is_some_and(|count| *count >= least), "'{note}' is too rare to be checked");
    }
}

/// What a prefix leads to is what the whole log leads to, up to there.
fn prefixes(seed: u64, world: &World) {
    let whole = world.expected(world.log.len()).expect("the run has begun");
    for events in 0..world.log.len() {
        let prefix = world.expected(events).unwrap_or_default();
        assert_eq!(prefix, whole.upto(events), "seed {seed}, the first {events} events of\n{}", world.told());
    }
}

#[test]
fn what_is_decided_wrongly_shows() {
    let workload = Workload::generate(1);
    let mut world = run(&workload, 0, &mut Choices::new(1));
    assert_eq!(world.differences(), Vec::<String>::new());
    let key = world.found.created.keys().next().cloned().expect("something was created");
    let (cause, mut created) = world.found.created[&key].clone();
    created.input = json!("other");
    world.found.created.insert(key.clone(), (cause.clone(), created));
    assert_eq!(world.differences().len(), 1, "another input");
    world.found.created.remove(&key);
    assert_eq!(world.differences().len(), 1, "nothing created");
    let timer = Timer::Retry { task: key.0, after: key.1.next() };
    world.found.timers.insert(timer, (cause, world.now));
    assert_eq!(world.differences().len(), 2, "a timer too many");
    let subject = Subject::TimerFired { run: world.id, timer: Timer::Deadline };
    let (other, _) = world.found.timers[&Timer::Deadline].clone();
    world
        .found
        .timers
        .entry(Timer::Deadline)
        .and_modify(|(cause, _)| *cause = subject.render(&world.namespace));
    assert_eq!(world.differences().len(), 3, "another cause than {other}");
}
