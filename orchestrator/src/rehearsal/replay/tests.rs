mod by_chance;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use mesh_bus::RunOutcome;
use mesh_schemas::payload::TaskError;
use mesh_schemas::{Message, StoredMessage, Timer};
use serde_json::{Value, json};

use super::*;
use crate::definitions::Known;
use crate::rehearsal::tests::{begin, error, known, opening};
use crate::rehearsal::{Asked, Opening, Rehearsal, outcome_name};

const ORDER: &str = "
mesh: v1
name: order
input: {type: object}
output: {sent: '${tasks.ship.output}', score: '${tasks.check.output}'}
timeout: 1h
tasks:
  check: {agent: checker, retry: {initial: 1s, factor: 1, jitter: 0}}
  charge: {agent: bank, needs: [check], when: tasks.check.output > 0.5, with: {sum: '${input.sum}'}}
  ship: {agent: carrier, needs: [charge], on_skipped: run, with: {paid: '${tasks.charge.output}'}}
";

/// The definition with something else in it.
fn with(old: &str, new: &str) -> Known {
    assert!(ORDER.contains(old), "{old}");
    known(&ORDER.replace(old, new))
}

/// What an agent does with work: how many milliseconds after it was asked for, and what comes of it.
type Deed = Option<(i64, Result<Value, TaskError>)>;
/// What agents do, by task and attempt.
type World = fn(&str, u32) -> Deed;

/// How late timers are, unless a test says otherwise: about as NATS has it.
const LATE: TimeDelta = TimeDelta::milliseconds(130);

/// A run in a world, in which a client may cancel after some milliseconds.
fn record(
    definition: &Known,
    world: &dyn Fn(&str, u32) -> Deed,
    cancel: Option<i64>,
    late: TimeDelta,
) -> Vec<StoredMessage> {
    let mut run = begin(definition, json!({"sum": 3}));
    let start = opening(json!(null)).at;
    type Act = Box<dyn FnOnce(&mut Rehearsal, DateTime<Utc>)>;
    // By time and the order in which it was asked for; the deadline is taken back when the run ends.
    let mut coming: BTreeMap<(DateTime<Utc>, usize), (Option<Timer>, Act)> = BTreeMap::new();
    if let Some(millis) = cancel {
        let act: Act = Box::new(|run, at| run.cancel(at, Some("enough".to_owned())).unwrap());
        coming.insert((start + TimeDelta::milliseconds(millis), 0), (None, act));
    }
    let mut planned = 0;
    loop {
        while let Some(asked) = run.next_asked() {
            planned += 1;
            match asked {
                Asked::Wait(timer, due) => {
                    let fired = timer.clone();
                    let act: Act = Box::new(move |run, at| run.fire(at, &fired).unwrap());
                    coming.insert((due + late, planned), (Some(timer), act));
                }
                Asked::Work(work) | Asked::Start(work) => {
                    let answer = world(work.key.task.as_str(), work.key.attempt.get());
                    let Some((millis, result)) = answer else { continue };
                    let at = work.at + TimeDelta::milliseconds(millis);
                    let act: Act = Box::new(move |run, at| match result {
                        Ok(output) => run.complete(at, &work.key, output).unwrap(),
                        Err(error) => run.fail(at, &work.key, error).unwrap(),
                    });
                    coming.insert((at, planned), (None, act));
                }
            }
        }
        if run.outcome().is_some() {
            coming.retain(|_, (timer, _)| *timer != Some(Timer::Deadline));
        }
        let Some(((at, _), (_, act))) = coming.pop_first() else { break };
        act(&mut run, at);
    }
    run.log().to_vec()
}

fn well(task: &str, _: u32) -> Deed {
    Some(match task {
        "check" => (40, Ok(json!(0.7))),
        "charge" => (500, Ok(json!("paid"))),
        _ => (10, Ok(json!("T-1"))),
    })
}

fn flaky(task: &str, attempt: u32) -> Deed {
    match (task, attempt) {
        ("check", 1 | 2) => Some((20, Err(error("busy")))),
        _ => well(task, attempt),
    }
}

fn recorded(log: &[StoredMessage], followed: &Known) -> Recorded {
    let Opening { namespace, run, .. } = opening(json!(null));
    Recorded::read(&namespace, run, log, &followed.plan).unwrap()
}

fn replayed(world: World, cancel: Option<i64>, changed: &Known) -> Replayed {
    let followed = known(ORDER);
    let recorded = recorded(&record(&followed, &world, cancel, LATE), &followed);
    assert!(recorded.course().outcome.is_some());
    let same = replay(&recorded, &followed).unwrap();
    assert!(same.is_same() && same.course.as_ref() == Some(recorded.course()), "{same:#?}");
    replay(&recorded, changed).unwrap()
}

fn told(replayed: &Replayed) -> Vec<String> {
    replayed.changes.iter().map(ToString::to_string).collect()
}

fn untold(replayed: &Replayed) -> Vec<String> {
    replayed.untold.iter().map(|(task, attempt)| format!("{task} {attempt}")).collect()
}

#[test]
fn every_run_goes_as_it_went_with_its_own_definition() {
    let followed = known(ORDER);
    let fails: World = |task, attempt| match task {
        "charge" => Some((5, Err(TaskError { retryable: false, ..error("no_money") }))),
        _ => well(task, attempt),
    };
    let silent: World = |task, attempt| if task == "charge" { None } else { well(task, attempt) };
    let skips: World =
        |task, attempt| if task == "check" { Some((1, Ok(json!(0.1)))) } else { well(task, attempt) };
    let broken: World =
        |task, attempt| if task == "check" { Some((1, Ok(json!("?")))) } else { well(task, attempt) };
    let cases: [(World, Option<i64>, &str); 9] = [
        (well, None, "completed"),
        (flaky, None, "completed"),
        (fails, None, "failed"),
        (silent, None, "failed"),
        (skips, None, "completed"),
        (broken, None, "failed"),
        (well, Some(200), "cancelled"),
        (well, Some(40), "cancelled"),
        // While the pause lasts, and when it is over but the timer is late.
        (flaky, Some(1_100), "cancelled"),
    ];
    for (world, cancel, outcome) in cases {
        let replayed = replayed(world, cancel, &followed);
        let course = replayed.course.unwrap();
        assert_eq!(course.outcome.as_ref().map(outcome_name), Some(outcome));
    }
}

#[test]
fn what_does_not_change_the_way_is_the_same() {
    for changed in [
        with("timeout: 1h", "timeout: 2h"),
        with("initial: 1s", "max: 5m, initial: 5m"),
        with("check.output > 0.5", "check.output >= 0.7"),
        with("tasks:\n", "tasks:\n  more: {agent: new, when: 'false'}\n"),
        with("agent: carrier", "agent: carrier, timeout: 1ms"),
    ] {
        let replayed = replayed(flaky, None, &changed);
        assert!(replayed.is_same(), "{:?}", told(&replayed));
    }
}

#[test]
fn another_way_is_told() {
    let cases: [(Known, &[&str]); 8] = [
        (
            with("check.output > 0.5", "check.output > 0.9"),
            &["task 'charge' was done, would be skipped", "task 'ship': input.paid was paid, would be null"],
        ),
        (
            with("sum: '${input.sum}'", "sum: '${input.sum + 1}'"),
            &["task 'charge': input.sum was 3, would be 4"],
        ),
        (with("agent: bank", "agent: purse"), &["task 'charge': agent was bank, would be purse"]),
        (
            with("agent: bank", "agent: bank, action: pay"),
            &["task 'charge': action was not there, would be pay"],
        ),
        (
            with("score: '${tasks.check.output}'", "rating: '${tasks.check.output}'"),
            &[
                "the run: output.score was 0.7, would be not there",
                "the run: output.rating was not there, would be 0.7",
            ],
        ),
        (
            with("'${tasks.charge.output}'", "'${tasks.charge.output + 1}'"),
            &["task 'ship' was done, would be failed", "the run was completed, would be failed"],
        ),
        (
            with("timeout: 1h", "timeout: 2500ms"),
            &[
                "task 'charge' was done, would be cancelled",
                "task 'ship' was done, would be cancelled",
                "the run was completed, would be failed",
            ],
        ),
        (
            with("input: {type: object}", "input: {type: object, required: [who]}"),
            &[
                "the run was completed, would be rejected",
                "the run would be rejected: input: \"who\" is a required property",
            ],
        ),
    ];
    for (changed, expected) in cases {
        let replayed = replayed(flaky, None, &changed);
        assert_eq!(told(&replayed), expected);
        assert!(replayed.is_told() && replayed.untold.is_empty() && !replayed.is_same());
    }
    let removed = known(
        "{mesh: v1, name: order, tasks: {check: {agent: checker}, ship: {agent: carrier, needs: [check], with: {paid: paid}}},
          output: {sent: '${tasks.ship.output}', score: '${tasks.check.output}'}}",
    );
    let replayed = replayed(well, None, &removed);
    assert_eq!(told(&replayed), ["task 'charge' was done, would be not there"]);
}

#[test]
fn what_was_never_recorded_cannot_be_told() {
    let new = with("  ship: {", "  fraud: {agent: fraud, needs: [check]}\n  ship: {");
    let replayed_new = replayed(well, None, &new);
    assert_eq!(told(&replayed_new), ["task 'fraud' was not there, would be active"]);
    assert_eq!(untold(&replayed_new), ["fraud 1"]);
    assert!(!replayed_new.is_told());
    let course = replayed_new.course.unwrap();
    assert_eq!(course.tasks[&"ship".parse().unwrap()].status, "done", "what does not depend on it goes on");

    let fails: World = |task, attempt| match task {
        "check" => Some((5, Err(error("busy")))),
        _ => well(task, attempt),
    };
    let more = replayed(fails, None, &with("{initial: 1s", "{max_attempts: 4, initial: 1s"));
    assert_eq!(told(&more), ["task 'check': attempts was 3, would be 4"]);
    assert_eq!((untold(&more), more.is_told()), (vec!["check 4".to_owned()], false));
    let fewer = replayed(flaky, None, &with("{initial: 1s", "{max_attempts: 1, initial: 1s"));
    assert_eq!(
        told(&fewer)[..2],
        ["task 'charge' was done, would be cancelled", "task 'check' was done, would be failed"]
    );
    assert!(fewer.is_told());
}

#[test]
fn the_silence_of_an_agent_is_known_for_as_long_as_the_run_took() {
    let silent: World = |task, attempt| if task == "charge" { None } else { well(task, attempt) };
    let later = replayed(silent, None, &with("timeout: 1h", "timeout: 2h"));
    assert_eq!((told(&later), untold(&later)), (Vec::new(), vec!["charge 1".to_owned()]));
    assert!(!later.is_told() && !later.is_same());
    let sooner = replayed(silent, None, &with("timeout: 1h", "timeout: 1m"));
    assert!(sooner.is_same(), "{:?}", told(&sooner));
}

#[test]
fn a_signal_comes_when_it_came_unless_the_run_might_have_ended() {
    let cancelled = replayed(well, Some(200), &with("sum: '${input.sum}'", "sum: 4"));
    assert_eq!(told(&cancelled), ["task 'charge': input.sum was 3, would be 4"]);
    assert!(cancelled.is_told());
    // With shorter pauses, the run is further when it is cancelled, and nobody knows what the agent would have said.
    let further = replayed(flaky, Some(1_300), &with("initial: 1s", "initial: 1ms"));
    assert_eq!(told(&further), ["task 'check': attempts was 2, would be 3"]);
    assert_eq!((untold(&further), further.is_told()), (vec!["check 3".to_owned()], false));
}

#[test]
fn an_answer_that_came_after_the_end_counts_where_there_is_no_end() {
    let late: World = |task, attempt| match task {
        "ship" => Some((9_000, Ok(json!("T-1")))),
        _ => well(task, attempt),
    };
    let followed = with("timeout: 1h", "timeout: 2s");
    let recorded = recorded(&record(&followed, &late, None, LATE), &followed);
    assert!(matches!(recorded.course().outcome, Some(RunOutcome::Failed(_))));
    let replayed = replay(&recorded, &known(ORDER)).unwrap();
    assert_eq!(
        told(&replayed),
        ["task 'ship' was cancelled, would be done", "the run was failed, would be completed"]
    );
}

#[test]
fn logs_that_are_no_whole_runs_are_refused_and_garbage_is_passed_over() {
    let followed = known(ORDER);
    let mut log = record(&followed, &flaky, None, LATE);
    let Opening { namespace, run, .. } = opening(json!(null));
    let read = |log: &[StoredMessage]| Recorded::read(&namespace, run, log, &followed.plan).map(drop);
    assert_eq!(read(&log[1..]), Err(RecordedError::NoBeginning(run)));
    assert_eq!(read(&log[..log.len() - 2]), Err(RecordedError::NotEnded(run)));
    let ends = [log[0].clone(), log[log.len() - 1].clone()];
    assert_eq!(read(&ends), Err(RecordedError::Gone(run)));
    // A message that nobody can read, one that nobody asked for, and a clock that goes back.
    let strange = |subject: String, payload: &'static str| StoredMessage {
        message: Message { subject, headers: Default::default(), payload: payload.into() },
        sequence: 1_000,
        time: log[1].time,
    };
    let more = [
        strange(format!("mesh.workflow.signalled.order.-.{run}.dance.1"), "{}"),
        strange(format!("mesh.task.completed.bank.normal.{run}.charge.1"), "{\"output\": 1}"),
        strange(format!("mesh.task.completed.bank.normal.{run}.nowhere.1"), "{\"output\": 1}"),
    ];
    log.splice(2..2, more);
    for stored in log.iter_mut().skip(6) {
        stored.time -= TimeDelta::milliseconds(700);
    }
    for (n, stored) in (1..).zip(log.iter_mut()) {
        stored.sequence = n;
    }
    let replayed = replay(&recorded(&log, &followed), &followed).unwrap();
    assert!(replayed.is_same(), "{replayed:#?}");
}

#[test]
fn a_timer_that_was_due_and_had_not_fired_when_the_run_ended_does_not_fire_sooner() {
    let followed = known(ORDER);
    let mut log = record(&followed, &flaky, Some(1_100), LATE);
    let end = log.iter().position(|stored| stored.message.subject.starts_with("mesh.workflow.cancelled"));
    log.truncate(end.unwrap() + 1);
    assert!(log.iter().all(|stored| !stored.message.subject.starts_with("mesh.timer.")));
    let replayed = replay(&recorded(&log, &followed), &followed).unwrap();
    assert!(replayed.is_same(), "{replayed:#?}");
}

#[test]
fn the_order_of_the_log_counts_where_clocks_went_back() {
    let followed = known(ORDER);
    let mut log = record(&followed, &well, Some(200), LATE);
    assert!(log[2].message.subject.contains(".signalled."));
    for stored in &mut log[2..] {
        stored.time -= TimeDelta::milliseconds(190);
    }
    let recorded = recorded(&log, &followed);
    let charge = &recorded.course().tasks[&"charge".parse().unwrap()];
    assert_eq!((charge.status, charge.attempts.len()), ("cancelled", 1));
    let replayed = replay(&recorded, &followed).unwrap();
    assert!(replayed.is_same(), "{replayed:#?}");
}

#[test]
fn an_outcome_that_cannot_be_read_is_the_same_outcome_again() {
    let followed = known(ORDER);
    let mut log = record(&followed, &well, None, LATE);
    log.truncate(2);
    log[1].message.payload = "not JSON".into();
    let recorded = recorded(&log, &followed);
    let replayed = replay(&recorded, &followed).unwrap();
    assert!(replayed.is_same(), "{replayed:#?}");
    match &recorded.course().outcome {
        Some(RunOutcome::Failed(failed)) => assert_eq!(failed.error.code, "malformed_outcome"),
        other => panic!("{other:?}"),
    }
    assert_eq!(recorded.lateness.get(&Timer::Deadline), None);
}
