//! The rules one by one, on logs written by hand, of which the fold of `mesh-core` makes the same.

use std::time::Duration;

use chrono::TimeDelta;
use mesh_schemas::payload::TaskCounts;
use mesh_schemas::{Namespace, Subject, TaskVerb, Timer, WorkflowVerb};
use mesh_simulation::interpreter::{End, interpret};
use mesh_simulation::workload::{Expression, OnFailure, Operator, Retry, Task, Template, Work, Workflow};
use serde_json::{Value, json};

use crate::log::{Log, doing, failed, given, key, output, retry_timer, task, work};

#[test]
fn a_task_follows_from_the_event_that_ends_the_last_of_its_needs() {
    let log = Log::started([
        ("a", task(&[])),
        ("b", task(&[])),
        ("c", doing(&["a", "b"], given(output("a").field("x")))),
    ]);
    let log = log.completed("a", "1", json!({ "x": 7 }));
    assert_eq!(log.created("a", "1"), Some((0, json!({ "n": 1 }))));
    assert_eq!(log.created("c", "1"), None);
    let log = log.completed("b", "1", json!(0));
    assert_eq!(log.created("c", "1"), Some((2, json!(7))));
    let log = log.completed("c", "1", json!("end"));
    assert_eq!(log.end(), Some((3, End::Completed { output: json!({ "c": "end" }) })));
    let ended = log.expected().end.expect("an end").what;
    assert_eq!((ended.duration_ms, ended.tasks.done), (3_000, 3));
}

#[test]
fn what_is_skipped_skips_what_needs_it_unless_that_says_otherwise() {
    let when =
        Expression::binary(Operator::Equal, Expression::Input.field("n"), Expression::Literal(2.into()));
    let log = Log::started([
        ("a", Task { when: Some(when), ..task(&[]) }),
        ("b", task(&["a"])),
        ("c", Task { runs_when_skipped: true, ..doing(&["b"], given(output("a"))) }),
    ]);
    assert_eq!(log.created("a", "1"), None);
    assert_eq!(log.created("b", "1"), None);
    assert_eq!(log.created("c", "1"), Some((0, Value::Null)));
    let tasks = log.completed("c", "1", json!(1)).expected().end.expect("an end").what.tasks;
    assert_eq!(tasks, TaskCounts { done: 1, skipped: 2, ..TaskCounts::default() });
}

#[test]
fn attempts_follow_after_growing_pauses() {
    let retry = Retry {
        max_attempts: Some(4),
        max: Some(Duration::from_millis(2_500)),
        jitter: Some(0.2),
        ..Retry::default()
    };
    let log = Log::started([("a", doing(&[], Work { retry: Some(retry), ..work() }))]).busy("a", "1");
    assert_eq!(log.pause("a", "1"), Some((800, 1_000)));
    let log = log.fired(retry_timer("a", "1")).busy("a", "2");
    assert_eq!(log.created("a", "2"), Some((2, json!({ "n": 1 }))));
    assert_eq!(log.pause("a", "2"), Some((1_600, 2_000)));
    let log = log.fired(retry_timer("a", "2")).busy("a", "3");
    assert_eq!(log.pause("a", "3"), Some((2_000, 2_500)));
    let log = log.fired(retry_timer("a", "3")).busy("a", "4");
    assert_eq!(log.end(), Some((7, failed("busy", Some("a")))));
}

#[test]
fn a_task_that_says_nothing_is_tried_three_times() {
    let one = || doing(&[], Work { retry: None, ..work() });
    let log = Log::started([("a", one())]).busy("a", "1");
    assert_eq!(log.pause("a", "1"), Some((800, 1_000)));
    let log = log.fired(retry_timer("a", "1")).busy("a", "2").fired(retry_timer("a", "2")).busy("a", "3");
    assert_eq!(log.pause("a", "2"), Some((1_600, 2_000)));
    assert_eq!(log.end(), Some((5, failed("busy", Some("a")))));
}

#[test]
fn agents_may_ask_for_longer_pauses_and_say_what_is_not_worth_another_attempt() {
    let asks = |secs: f64| {
        let error = json!({ "code": "busy", "message": "", "retry_after": secs });
        Log::started([("a", task(&[]))]).failed("a", "1", error).pause("a", "1")
    };
    assert_eq!(asks(90.25), Some((90_250, 90_250)));
    assert_eq!(asks(0.5), Some((1_000, 1_000)));
    assert_eq!(asks(1e12), Some((86_400_000, 86_400_000)));
    assert_eq!(asks(-1.0), Some((1_000, 1_000)));
    let log = Log::started([("a", task(&[]))]).fatal("a", "1");
    assert_eq!(log.end(), Some((1, failed("no", Some("a")))));
    let retry = Retry { fatal_on: vec!["busy".to_owned()], ..Retry::default() };
    let log = Log::started([("a", doing(&[], Work { retry: Some(retry), ..work() }))]).busy("a", "1");
    assert_eq!(log.end(), Some((1, failed("busy", Some("a")))));
}

#[test]
fn without_a_pause_the_next_attempt_follows_from_the_failure() {
    let retry = Retry { initial: Some(Duration::ZERO), ..Retry::default() };
    let log = Log::started([("a", doing(&[], Work { retry: Some(retry), ..work() }))]).busy("a", "1");
    assert_eq!(log.created("a", "2").map(|(at, _)| at), Some(1));
    assert_eq!(log.pause("a", "1"), None);
}

#[test]
fn the_first_outcome_counts_and_none_counts_before_its_attempt() {
    let log = Log::started([("a", task(&[])), ("b", task(&["a"]))]);
    let early = log.completed("b", "1", json!("too early"));
    let log = early.busy("a", "1").completed("a", "1", json!("too late"));
    assert_eq!((log.end(), log.created("b", "1")), (None, None));
    let log = log.fired(retry_timer("a", "1")).completed("a", "2", json!("right"));
    assert_eq!(log.created("b", "1").map(|(at, _)| at), Some(5));
    assert_eq!(log.end(), None);
}

#[test]
fn timers_that_nobody_waits_for_change_nothing() {
    let log = Log::started([("a", task(&[]))]).fired(retry_timer("a", "1")).busy("a", "1");
    assert_eq!(log.created("a", "2"), None);
    assert_eq!(log.fired(retry_timer("a", "2")).created("a", "2"), None);
}

#[test]
fn a_pause_is_ended_by_its_own_timer_alone() {
    let retry = Retry { initial: Some(Duration::ZERO), ..Retry::default() };
    let asks = json!({ "code": "busy", "message": "", "retry_after": 5 });
    let log = Log::started([("a", doing(&[], Work { retry: Some(retry), ..work() }))])
        .busy("a", "1")
        .failed("a", "2", asks);
    assert_eq!(log.pause("a", "2"), Some((5_000, 5_000)));
    let log = log.fired(retry_timer("a", "1"));
    assert_eq!(log.created("a", "3"), None);
    assert_eq!(log.fired(retry_timer("a", "2")).created("a", "3").map(|(at, _)| at), Some(4));
}

#[test]
fn an_outcome_that_cannot_be_read_is_a_failure_that_is_not_tried_again() {
    for body in ["{", "{}", r#"{"specversion": "1.0", "data": {"result": 1}}"#] {
        let log = Log::started([("a", task(&[]))]);
        let subject = log.outcome(TaskVerb::Completed, "a", "1");
        assert_eq!(
            log.message(&subject, body).end(),
            Some((1, failed("malformed_outcome", Some("a")))),
            "{body}"
        );
    }
}

#[test]
fn an_expression_without_a_value_fails_its_task() {
    let broken = || Expression::Input.field("nothing");
    let when = |on_failure| Task { when: Some(broken()), on_failure, ..task(&[]) };
    let log = Log::started([("a", when(OnFailure::Fail))]);
    assert_eq!(log.given_up(), [("a".to_owned(), 0, "expression")]);
    assert_eq!(log.end(), Some((0, failed("expression", Some("a")))));
    // What ends with its first event has nothing to wait for.
    assert!(log.expected().timers.is_empty() && log.expected().created.is_empty());

    let log = Log::started([("a", when(OnFailure::Continue)), ("b", task(&["a"]))]);
    assert_eq!(log.given_up(), [("a".to_owned(), 0, "expression")]);
    assert_eq!(log.created("b", "1").map(|(at, _)| at), Some(0));

    let log = Log::started([("a", doing(&[], Work { output: Some(Template::Whole(broken())), ..work() }))]);
    let log = log.completed("a", "1", json!(1));
    assert_eq!((log.given_up(), log.end()), (vec![], Some((1, failed("expression", Some("a"))))));

    let mut log = Log::started([("a", task(&[]))]).completed("a", "1", json!(1));
    log.workflow.output = Some(Template::Whole(broken()));
    assert_eq!(log.end(), Some((1, failed("expression", None))));
    assert_eq!(log.expected().end.expect("an end").what.tasks.done, 1);
}

#[test]
fn a_run_ends_at_the_first_event_that_ends_it() {
    let two = || Log::started([("a", task(&[])), ("b", task(&[])), ("z", task(&["a"]))]);
    let log = two().cancelled(r#"{"reason": "enough"}"#).fatal("a", "1");
    assert_eq!(log.end(), Some((1, End::Cancelled { reason: Some("enough".to_owned()) })));
    let given_up = [("a".to_owned(), 1, "run_ended"), ("b".to_owned(), 1, "run_ended")];
    assert_eq!(log.given_up(), given_up);
    assert_eq!(two().cancelled("").end(), Some((1, End::Cancelled { reason: None })));
    assert_eq!(two().cancelled("{").end(), None);

    let log = two().fatal("a", "1").cancelled("");
    assert_eq!(log.end(), Some((1, failed("no", Some("a")))));
    assert_eq!(log.given_up(), [("b".to_owned(), 1, "run_ended")]);
    let tasks = log.expected().end.expect("an end").what.tasks;
    assert_eq!(tasks, TaskCounts { failed: 1, cancelled: 2, ..TaskCounts::default() });

    let log = two().busy("a", "1").fired(Timer::Deadline).fired(retry_timer("a", "1"));
    assert_eq!(log.end(), Some((2, failed("timeout", None))));
    assert_eq!(log.given_up(), [("b".to_owned(), 2, "run_ended")]);
    assert_eq!(log.created("a", "2"), None);
}

#[test]
fn of_what_one_event_leads_to_the_first_that_ends_the_run_is_the_last() {
    let broken = || Some(Expression::Input.field("nothing"));
    let no = || Some(Expression::Literal(false.into()));
    let skipped = || Task { when: no(), ..task(&["a"]) };
    // b and d are skipped; then what waits for d, the last of them, before what waits for b.
    let log = Log::started([
        ("a", task(&[])),
        ("b", skipped()),
        ("c", Task { when: broken(), runs_when_skipped: true, ..task(&["b"]) }),
        ("d", skipped()),
        ("e", Task { when: broken(), runs_when_skipped: true, ..task(&["d"]) }),
        ("f", task(&["a"])),
    ]);
    let log = log.completed("a", "1", json!(1));
    assert_eq!(log.end(), Some((1, failed("expression", Some("e")))));
    assert_eq!(log.given_up(), [("e".to_owned(), 1, "expression")]);
    assert_eq!(log.created("f", "1"), None);
    let tasks = log.expected().end.expect("an end").what.tasks;
    assert_eq!(tasks, TaskCounts { done: 1, failed: 1, skipped: 2, cancelled: 2 });
}

#[test]
fn a_requested_task_is_a_run_of_its_own() {
    let capability = "c".parse().expect("a capability");
    let mut log = Log::of([]);
    log.workflow = Workflow::single_task(&capability);
    let log = log.start(json!([1])).completed("task", "1", json!({ "x": 1 }));
    assert_eq!(log.created("task", "1"), Some((0, json!([1]))));
    assert_eq!(log.end(), Some((1, End::Completed { output: json!({ "x": 1 }) })));
    let work = &log.expected().created[&key("task", "1")].what;
    assert_eq!((work.workflow.as_str(), work.deadline - work.basis), ("-", TimeDelta::hours(24)));
}

#[test]
fn nothing_follows_before_the_run_begins_or_after_its_end_is_told() {
    let log = Log::of([("a", task(&[]))]).cancelled("");
    assert_eq!(interpret(&Namespace::default(), &log.workflow, &log.log), None);
    let log = log.start(json!({}));
    assert_eq!((log.end(), log.created("a", "1").map(|(at, _)| at)), (None, Some(1)));
    let name = log.workflow.name.clone();
    let told = Subject::Workflow { verb: WorkflowVerb::Failed, workflow: name, run: log.run };
    let log = log.event(&told, &json!({})).fatal("a", "1");
    assert_eq!((log.end(), log.given_up()), (None, vec![]));
}
