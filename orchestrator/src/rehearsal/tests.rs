use std::time::Instant;

use chrono::TimeDelta;
use mesh_bus::RunOutcome;
use mesh_core::{Event, replay};
use mesh_schemas::document::Format;
use mesh_schemas::payload::TaskError;
use mesh_schemas::{Namespace, RequestId, RunId, Shards, Timer};
use serde_json::{Value, json};

use super::*;
use crate::definitions::{self, Known};

pub(super) fn known(yaml: &str) -> Known {
    let definition = definitions::check(yaml, Format::Yaml).unwrap_or_else(|error| panic!("{error}"));
    Known::compile(&definition).unwrap()
}

pub(super) fn opening(input: Value) -> Opening {
    let request = RequestId { source: "/test".to_owned(), id: "1".to_owned() };
    Opening {
        namespace: Namespace::new("mesh").unwrap(),
        run: RunId::for_request("workflow.order", &request, Shards::default()),
        request,
        correlation_id: Some("order 7".to_owned()),
        trace: None,
        at: "2026-01-31T12:00:00.000000001Z".parse().unwrap(),
        config: None,
        input,
        parent: None,
        taken_over: None,
        pause_before: Vec::new(),
    }
}

pub(super) fn begin(known: &Known, input: Value) -> Rehearsal {
    match Rehearsal::begin(known, opening(input)).unwrap() {
        Begun::Started(rehearsal) => *rehearsal,
        Begun::Rejected(rejected) => panic!("{rejected:?}"),
    }
}

pub(super) fn error(code: &str) -> TaskError {
    TaskError { code: code.to_owned(), message: "it broke".to_owned(), retryable: true, retry_after: None }
}

fn work(rehearsal: &mut Rehearsal) -> Vec<Work> {
    let asked = std::iter::from_fn(|| rehearsal.next_asked());
    asked.filter_map(|asked| if let Asked::Work(work) = asked { Some(*work) } else { None }).collect()
}

#[test]
fn a_run_is_written_and_read_back_as_orchestrators_do() {
    let known = known(
        "{mesh: v1, name: order, output: '${tasks.ship.output}', tasks: {
            charge: {agent: bank, with: {sum: '${input.sum}', of: '${run.correlation_id}'}},
            ship: {agent: carrier, needs: [charge], with: '${tasks.charge.output}'}}}",
    );
    let mut rehearsal = begin(&known, json!({"sum": 3}));
    let at = opening(json!(null)).at;
    assert_eq!(rehearsal.next_asked(), Some(Asked::Wait(Timer::Deadline, at + TimeDelta::hours(24))));
    let charge = &work(&mut rehearsal)[0];
    assert_eq!(charge.created.input, json!({"sum": 3, "of": "order 7"}));
    assert_eq!((charge.created.basis, charge.at), (at, at));
    rehearsal.complete(at + TimeDelta::seconds(2), &charge.key, json!("paid")).unwrap();
    let ship = &work(&mut rehearsal)[0];
    assert_eq!((&ship.created.input, ship.at), (&json!("paid"), at + TimeDelta::seconds(2)));
    // Time does not go back.
    rehearsal.complete(at, &ship.key, json!("sent")).unwrap();
    assert!(matches!(rehearsal.outcome(), Some(RunOutcome::Completed(end)) if end.output == "sent"));
    assert_eq!(rehearsal.course().took, Some(TimeDelta::seconds(2)));

    let namespace = Namespace::new("mesh").unwrap();
    let read = |stored| Event::read(&namespace, stored).unwrap();
    let events: Vec<Event> = rehearsal.log().iter().map(read).collect();
    assert!(events.iter().all(|event| event.defect.is_none()), "{events:?}");
    let (run, missing) = replay(&known.plan, &events).unwrap();
    assert!(run.has_ended() && missing.is_empty(), "the log has all that follows from it: {missing:?}");
    let types: Vec<&str> = events.iter().map(|event| event.id.split('.').nth(2).unwrap()).collect();
    assert_eq!(types, ["started", "completed", "completed", "completed"]);
    let started: Value = serde_json::from_slice(&rehearsal.log()[0].message.payload).unwrap();
    assert_eq!(
        (&started["source"], &started["correlationid"]),
        (&json!("/mesh/orchestrator"), &json!("order 7"))
    );
}

#[test]
fn a_request_that_does_not_fit_starts_no_run() {
    let known = known("{mesh: v1, name: order, input: {type: object}, tasks: {a: {agent: b}}}");
    let nested = (0..60).fold(json!(1), |inner, _| json!([{ "in": inner }]));
    for (input, reason) in [(json!(1), "1 is not of type"), (nested, "nested deeper than")] {
        match Rehearsal::begin(&known, opening(input)).unwrap() {
            Begun::Rejected(rejected) => {
                assert_eq!(rejected.code, "invalid_input");
                assert!(rejected.reasons[0].contains(reason), "{rejected:?}");
            }
            Begun::Started(_) => panic!("started"),
        }
    }
}

#[test]
fn a_day_of_backoff_takes_no_time() {
    let known = known(
        "{mesh: v1, name: order, timeout: 2d, tasks: {
            poll: {agent: shop, retry: {max_attempts: 1000, initial: 90s, factor: 1, max: 90s, jitter: 0}}}}",
    );
    let began = Instant::now();
    let mut rehearsal = begin(&known, json!({}));
    let mut now = opening(json!(null)).at;
    let mut attempts = 0;
    while let Some(asked) = rehearsal.next_asked() {
        match asked {
            Asked::Work(work) | Asked::Start(work) => {
                attempts += 1;
                now = work.at;
                rehearsal.fail(now, &work.key, error("empty")).unwrap();
            }
            Asked::Wait(Timer::Deadline, _) => {}
            Asked::Wait(timer, due) => rehearsal.fire(due, &timer).unwrap(),
        }
    }
    assert_eq!((attempts, now - opening(json!(null)).at), (1_000, TimeDelta::seconds(999 * 90)));
    let course = rehearsal.course();
    assert!(matches!(course.outcome, Some(RunOutcome::Failed(end)) if end.error.code == "empty"));
    assert!(began.elapsed().as_secs() < 20, "it took {:?}", began.elapsed());
}

#[test]
fn the_first_outcome_counts_and_what_nobody_asked_for_is_an_error() {
    let known = known("{mesh: v1, name: order, tasks: {a: {agent: b}, c: {agent: b, needs: [a]}}}");
    let mut rehearsal = begin(&known, json!({}));
    let a = work(&mut rehearsal).remove(0);
    rehearsal.complete(a.at, &a.key, json!(1)).unwrap();
    rehearsal.complete(a.at, &a.key, json!(2)).unwrap();
    rehearsal.fail(a.at, &a.key, error("late")).unwrap();
    let c = work(&mut rehearsal).remove(0);
    let never = mesh_schemas::TaskKey { attempt: "2".parse().unwrap(), ..c.key.clone() };
    let stray = rehearsal.complete(c.at, &never, json!(1)).unwrap_err().to_string();
    assert!(stray.contains("attempt 2 of task 'c' was never created"), "{stray}");
    rehearsal.check(c.at).unwrap();
    rehearsal.fire(c.at, &"retry-c-1".parse().unwrap()).unwrap();
    assert_eq!(rehearsal.next_asked(), None, "a timer that was not set fires for nobody");
    rehearsal.cancel(c.at, Some("enough".to_owned())).unwrap();
    let course = rehearsal.course();
    assert!(
        matches!(&course.outcome, Some(RunOutcome::Cancelled(end)) if end.reason.as_deref() == Some("enough"))
    );
    let stands: Vec<_> = course.tasks.values().map(|task| (task.status, task.attempts.len())).collect();
    assert_eq!(stands, [("done", 1), ("cancelled", 1)]);
}
