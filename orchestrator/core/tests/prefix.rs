//! Properties of the fold over random workflows and random logs: what was decided stays decided.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use mesh_core::{Action, Decision, Event, Fact, Plan, Run, Started, replay};
use mesh_schemas::definition::{
    Adaptive, Finally, Foreach, Join, Merge, MergeBy, OnFailure, OnMax, OnSkipped, Planner, Quorum, Quota,
    Recovery, Repeat, Retry, Span, TaskBuilder,
};
use mesh_schemas::payload::{CancelSignal, Parent, RetrySignal, TaskCompleted, TaskError, WorkflowStarted};
use mesh_schemas::{
    Attempt, Definition, Lane, RULES_VERSION, RequestId, RunId, Shards, TaskId, TaskKey, Timer,
};
use proptest::prelude::*;
use serde_json::json;

/// What a task does and how it is tied to others; the bits of `needs` are earlier tasks.
#[derive(Debug, Clone)]
struct Shape {
    needs: u8,
    conditional: bool,
    runs_when_skipped: bool,
    continues: bool,
    attempts: u32,
    pauses: bool,
    maps_output: bool,
    looks_far: bool,
    made_of: Made,
    join: Join,
    has_rescuer: bool,
}

/// What a task is made of.
#[derive(Debug, Clone, Copy)]
enum Made {
    Work,
    Child,
    Group,
    Switch,
    Each,
    EachGroup,
    Loop,
    Merge,
    Plan,
    EachPlan,
}

fn shapes() -> impl Strategy<Value = Vec<Shape>> {
    let made_of = prop_oneof![
        4 => Just(Made::Work),
        1 => Just(Made::Child),
        1 => Just(Made::Group),
        1 => Just(Made::Switch),
        1 => Just(Made::Each),
        1 => Just(Made::EachGroup),
        1 => Just(Made::Loop),
        1 => Just(Made::Merge),
        1 => Just(Made::Plan),
        1 => Just(Made::EachPlan),
    ];
    let quorum = |quorum, grace, deadline| Join::Quorum(Quorum { quorum, grace, deadline });
    let join = prop_oneof![
        4 => Just(Join::All),
        1 => Just(Join::Any),
        1 => Just(quorum(Quota::Percent(60.0), Some(Span::from_secs(1)), None)),
        1 => Just(quorum(Quota::Percent(60.0), Some(Span::from_secs(1)), Some(Span::from_secs(2)))),
    ];
    let shape = (any::<u8>(), any::<[bool; 7]>(), 1..3u32, made_of, join).prop_map(
        |(needs, flags, attempts, made_of, join)| {
            let [conditional, runs_when_skipped, continues, pauses, maps_output, looks_far, has_rescuer] =
                flags;
            Shape {
                needs,
                conditional,
                runs_when_skipped,
                continues,
                attempts,
                pauses,
                maps_output,
                looks_far,
                made_of,
                join,
                has_rescuer,
            }
        },
    );
    prop::collection::vec(shape, 1..7)
}

fn plan(shapes: &[Shape]) -> Arc<Plan> {
    let recovery = match shapes.iter().map(|shape| usize::from(shape.needs)).sum::<usize>() % 8 {
        0 => Recovery::Continue,
        1 | 2 => Recovery::Pause,
        3 => Recovery::Retry(1),
        _ => Recovery::Fail,
    };
    let mut workflow = Definition::builder("random").unwrap().recovery(recovery);
    for (index, shape) in shapes.iter().enumerate() {
        let pause = if shape.pauses { Span::from_secs(1) } else { Span::from_millis(0) };
        let retry = Retry { max_attempts: shape.attempts, initial: pause, ..Retry::default() };
        let mut task = made(index, shape, retry);
        let needs: Vec<usize> = (0..index).filter(|need| shape.needs >> need & 1 == 1).collect();
        for need in &needs {
            task = task.needs(&format!("t{need}")).unwrap();
        }
        if let Some(need) = needs.first().filter(|_| shape.conditional) {
            // False for odd results, and an error when the need was skipped and gave no number.
            task = task.when(format!("tasks.t{need}.output % 2 == 0"));
        }
        if !needs.is_empty() {
            task = task.join(shape.join);
        }
        // A task far before: what its needs needed. Fractions that JSON has to carry exactly.
        let far = needs.last().and_then(|need| (0..*need).find(|far| shapes[*need].needs >> far & 1 == 1));
        if let Some(far) = far.filter(|_| shape.looks_far && matches!(shape.made_of, Made::Work)) {
            task = task.with(json!({"far": format!("${{tasks.t{far}.output}}"), "n": 0.1}));
        }
        if shape.needs % 16 == 3 {
            task = task.pause_before();
        }
        if shape.runs_when_skipped {
            task = task.on_skipped(OnSkipped::Run);
        }
        if shape.continues {
            task = task.on_failure(OnFailure::Continue);
        } else if shape.has_rescuer {
            task = task.on_failure(OnFailure::Task(format!("r{index}").parse().unwrap()));
            let rescuer = TaskBuilder::new("worker").unwrap().on_failure(OnFailure::Continue);
            workflow = workflow.task(&format!("r{index}"), rescuer).unwrap();
        }
        workflow = workflow.task(&format!("t{index}"), task).unwrap();
    }
    if shapes.iter().any(|shape| shape.needs % 5 == 4) {
        let tell = TaskBuilder::new("worker").unwrap().retry(Retry { max_attempts: 1, ..Retry::default() });
        let tasks = [("last".parse().unwrap(), tell.with(json!("${run.outcome.status}")).build())].into();
        workflow = workflow.finally(Finally { tasks, timeout: None });
    }
    Arc::new(Plan::compile(&workflow.build()).unwrap())
}

/// A task without what ties it to others.
fn made(index: usize, shape: &Shape, retry: Retry) -> TaskBuilder {
    let work = || {
        let work = TaskBuilder::new("worker").unwrap().retry(retry.clone());
        // Results may be fractions, which some do not take.
        let work = if shape.looks_far { work.output_schema(json!({"type": "integer"})) } else { work };
        if shape.maps_output { work.output(json!("${result + 1}")) } else { work }
    };
    let child = || {
        let child = TaskBuilder::workflow("inner").unwrap().retry(retry.clone());
        if shape.looks_far { child.no_wait() } else { child }
    };
    let group = || {
        let second = work().needs(&format!("a{index}")).unwrap();
        let second = second.when(format!("tasks.a{index}.output > 100"));
        let third = if shape.conditional { child() } else { TaskBuilder::new("worker").unwrap() };
        let third = third.on_failure(OnFailure::Continue);
        let group = TaskBuilder::group().task(&format!("a{index}"), work()).unwrap();
        let group = group.task(&format!("b{index}"), second).unwrap();
        group.task(&format!("c{index}"), third).unwrap().output(json!(format!("${{tasks.a{index}.output}}")))
    };
    let each = Foreach {
        items: json!([1, 2, 3]),
        max_parallel: shape.pauses.then_some(2),
        adaptive: shape.conditional.then(|| Adaptive { complexity: json!(0.5), dependency: json!(0.1) }),
        max_items: None,
        tolerate: shape.looks_far.then_some(Quota::Count(1)),
    };
    let plan = || TaskBuilder::new("planner").unwrap().retry(retry.clone()).plan(Planner::Plain(true));
    let by = [MergeBy::Quality, MergeBy::Collect, MergeBy::First, MergeBy::Object][index % 4];
    match shape.made_of {
        Made::Merge if (0..index).any(|need| shape.needs >> need & 1 == 1) => {
            TaskBuilder::merge(Merge::by(by))
        }
        Made::Work | Made::Merge => work(),
        Made::Plan => plan(),
        Made::EachPlan => plan().foreach(each),
        Made::Child => child(),
        Made::Group => group(),
        Made::Switch => {
            TaskBuilder::switch().case("run.id.contains('7')", work()).case("size(run.id) > 3", group())
        }
        Made::Each => work().foreach(each),
        Made::EachGroup => group().foreach(each),
        Made::Loop => work().repeat(Repeat {
            until: "result > 1000".to_owned(),
            max: 3,
            on_max: if shape.looks_far { OnMax::Continue } else { OnMax::Fail },
        }),
    }
}

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
struct World {
    plan: Arc<Plan>,
    log: Vec<Event>,
    run: Run,
    decided: Vec<Decision>,
    /// Decisions whose own events are not in the log yet.
    unstored: Vec<Decision>,
    /// Attempts that agents may still answer, timers that may still fire.
    open: Vec<TaskKey>,
    timers: Vec<Timer>,
    /// Loops whose width is not chosen yet.
    routes: Vec<TaskId>,
    now: DateTime<Utc>,
}

impl World {
    fn new(plan: Arc<Plan>) -> Self {
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

    fn push(&mut self, fact: Fact) {
        self.now += TimeDelta::milliseconds(250);
        let event = event(self.log.len() as u64 + 1, self.now, fact);
        let step = self.run.apply(&event);
        self.log.push(event);
        self.take(step.decisions);
    }

    /// Lets one thing happen, chosen by a number.
    fn happen(&mut self, choice: u16) {
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

fn all_decisions(plan: &Arc<Plan>, log: &[Event]) -> Vec<Decision> {
    let Fact::Started(started) = &log[0].fact else { unreachable!("a log begins with started") };
    let (mut run, step) = Run::start(&log[0], started, Arc::clone(plan));
    let mut decisions = step.decisions;
    for event in &log[1..] {
        decisions.extend(run.apply(event).decisions);
    }
    decisions
}

/// What a decision would be stored under: one subject holds one fact.
fn place(decision: &Decision) -> String {
    match &decision.action {
        Action::Create(key, _) | Action::StartChild(key, _) => format!("created {key:?}"),
        Action::CancelChild(key, _) => format!("cancelled {key:?}"),
        Action::Report(key, _) => format!("reported {key:?}"),
        Action::GiveUp(key, _) => format!("failed {key:?}"),
        Action::SetTimer(timer, _) => format!("timer {timer}"),
        Action::Route(task, _) => format!("routed {task}"),
        Action::Pause(number, _) => format!("paused {number}"),
        Action::Resume(number) => format!("resumed {number}"),
        Action::End(_) => "end".to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// For prefixes p ⊂ q of a log: all that p decides, q decides too, word for word. No two decisions want the
    /// same place in the log.
    #[test]
    fn what_a_prefix_decides_every_longer_one_decides(
        shapes in shapes(),
        choices in prop::collection::vec(any::<u16>(), 0..40),
    ) {
        let mut world = World::new(plan(&shapes));
        for choice in choices {
            world.happen(choice);
        }
        let decided: Vec<_> =
            (1..=world.log.len()).map(|end| all_decisions(&world.plan, &world.log[..end])).collect();
        for (shorter, p) in decided.iter().enumerate() {
            for q in &decided[shorter..] {
                prop_assert_eq!(p.as_slice(), &q[..p.len()]);
            }
        }
        let places: BTreeSet<_> = world.decided.iter().map(place).collect();
        prop_assert!(places.len() == world.decided.len(), "{:?}", world.decided.iter().map(place).collect::<Vec<_>>());
    }

    /// Made anew from any prefix, a run is what it was, and what may be missing from the log is offered again.
    #[test]
    fn a_run_made_anew_is_the_same_run(
        shapes in shapes(),
        choices in prop::collection::vec(any::<u16>(), 0..40),
    ) {
        let mut world = World::new(plan(&shapes));
        for choice in choices {
            world.happen(choice);
        }
        let (run, missing) = replay(&world.plan, &world.log).expect("the log begins with started");
        prop_assert_eq!(format!("{run:?}"), format!("{:?}", world.run));
        let views = run.tasks();
        let stands = |task: &TaskId, status: &str| {
            views.iter().any(|view| view.id == *task && view.status == status)
        };
        for decision in &world.decided {
            let answered = match &decision.action {
                // What a part of the run had open when it was over is given up.
                Action::Create(key, _) | Action::StartChild(key, _) => {
                    !world.open.contains(key) || !stands(&key.task, "active")
                }
                Action::CancelChild(..) | Action::Report(..) => {
                    world.log.iter().any(|event| event.fact == Fact::Ended)
                }
                Action::SetTimer(timer, _) => {
                    let is_waited_for = match timer {
                        Timer::Deadline | Timer::Finally => !run.has_ended(),
                        Timer::Grace(task) | Timer::Join(task) => stands(task, "pending"),
                        Timer::Retry { task, .. } => stands(task, "retrying"),
                    };
                    !world.timers.contains(timer) || !is_waited_for
                }
                Action::Route(task, _) => !world.routes.contains(task) || !stands(task, "active"),
                // Whether they are stored, the world does not know.
                Action::Pause(..) | Action::Resume(_) => true,
                Action::GiveUp(..) | Action::End(_) => !world.unstored.contains(decision),
            };
            prop_assert!(answered || missing.contains(decision), "lost: {:?}", decision);
        }
    }

    /// A state that was saved after any event is the run up to there: with the rest of the log it is the same run and
    /// leads to the same decisions, and saved again it is the same state.
    #[test]
    fn a_saved_state_stands_for_the_log_up_to_it(
        shapes in shapes(),
        choices in prop::collection::vec(any::<u16>(), 0..40),
    ) {
        let mut world = World::new(plan(&shapes));
        for choice in choices {
            world.happen(choice);
        }
        let Fact::Started(started) = &world.log[0].fact else { unreachable!("a log begins with started") };
        for end in 1..=world.log.len() {
            let (mut folded, _) = replay(&world.plan, &world.log[..end]).expect("the log begins with started");
            let Some(state) = folded.save() else {
                prop_assert!(folded.has_ended() || folded.is_closing());
                continue;
            };
            let mut restored =
                Run::restore(&world.log[0], started, Arc::clone(&world.plan), &state).expect("it was saved");
            prop_assert_eq!(&restored, &folded);
            prop_assert_eq!(restored.save(), Some(state));
            for event in &world.log[end..] {
                prop_assert_eq!(restored.stray(event), folded.stray(event));
                prop_assert_eq!(restored.apply(event), folded.apply(event));
                prop_assert_eq!(&restored, &folded);
            }
            for decision in &world.decided {
                prop_assert_eq!(restored.may_be_missing(decision), folded.may_be_missing(decision));
            }
        }
    }

    /// Whatever becomes of a saved state on the way, it is refused or the run that it was of: never a panic.
    #[test]
    fn a_saved_state_that_was_changed_is_no_danger(
        shapes in shapes(),
        choices in prop::collection::vec(any::<u16>(), 0..20),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut world = World::new(plan(&shapes));
        for choice in choices {
            world.happen(choice);
        }
        let Fact::Started(started) = &world.log[0].fact else { unreachable!("a log begins with started") };
        if let Some(mut state) = world.run.save() {
            for (place, byte) in changes {
                let place = place.index(state.len());
                state[place] = byte % 128;
            }
            if let Ok(mut run) = Run::restore(&world.log[0], started, Arc::clone(&world.plan), &state) {
                world.log.iter().for_each(|event| drop(run.apply(event)));
            }
        }
    }

    /// Of an archived run a beginning of the log is left, and its end. From that follows nothing that does not follow from
    /// all of the log: no task, no timer and no end at all, and no attempt is given up that was not.
    #[test]
    fn from_what_is_left_of_an_archived_run_nothing_new_follows(
        shapes in shapes(),
        choices in prop::collection::vec(any::<u16>(), 0..40),
    ) {
        let mut world = World::new(plan(&shapes));
        for choice in choices {
            world.happen(choice);
        }
        if !world.run.has_ended() {
            world.push(Fact::Cancel(CancelSignal::default()));
        }
        world.push(Fact::Ended);
        let decided = all_decisions(&world.plan, &world.log);
        let (end, events) = world.log.split_last().expect("the end");
        for length in 1..=events.len() {
            let mut left = events[..length].to_vec();
            left.push(end.clone());
            let (run, follows) = replay(&world.plan, &left).expect("the log begins with started");
            prop_assert!(run.has_ended());
            for decision in follows {
                prop_assert!(matches!(decision.action, Action::GiveUp(..)), "{:?}", decision);
                prop_assert!(decided.contains(&decision), "{:?}", decision);
            }
        }
    }

    /// An event that comes again changes nothing and leads to nothing.
    #[test]
    fn an_event_that_comes_again_changes_nothing(
        shapes in shapes(),
        choices in prop::collection::vec(any::<u16>(), 0..40),
    ) {
        let mut world = World::new(plan(&shapes));
        for choice in choices {
            world.happen(choice);
        }
        let before = format!("{:?}", world.run);
        for event in &world.log {
            let step = world.run.apply(event);
            prop_assert_eq!(step.decisions, vec![]);
            prop_assert_eq!(&before, &format!("{:?}", world.run));
        }
    }

    /// A run whose every task is answered, and whose every timer fires, ends.
    #[test]
    fn every_run_ends(shapes in shapes(), choices in prop::collection::vec(any::<u16>(), 0..20)) {
        let mut world = World::new(plan(&shapes));
        for choice in choices {
            world.happen(choice);
        }
        // Each round answers or wakes something; there are at most six tasks of nine pieces of work, of two attempts, with a pause each.
        world.push(Fact::Resume);
        for _ in 0..400 {
            if world.run.is_paused() {
                world.push(Fact::Resume);
            } else if let Some(key) = world.open.pop() {
                world.push(Fact::Completed(key, Box::new(completed(json!(2)))));
            } else if let Some(at) =
                world.timers.iter().rposition(|timer| !matches!(timer, Timer::Deadline | Timer::Finally))
            {
                let timer = world.timers.remove(at);
                world.push(Fact::Fired(timer));
            } else if let Some(Decision { action: Action::GiveUp(key, error), .. }) = world.unstored.pop() {
                world.push(Fact::Failed(key, error));
            } else if let Some(task) = world.routes.pop() {
                world.push(Fact::Routed(task, 1));
            }
        }
        prop_assert!(world.run.has_ended(), "{:?}", world.run);
    }
}
