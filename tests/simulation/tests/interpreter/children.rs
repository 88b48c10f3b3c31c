//! Runs that tasks start, on logs written by hand, of which the fold of `mesh-core` makes the same.

use std::time::Duration;

use chrono::TimeDelta;
use mesh_schemas::{RunId, Timer};
use mesh_simulation::interpreter::{End, Report};
use mesh_simulation::workload::{Body, Call, Expression, Join, Quota, Retry, Task, Template, Work};
use serde_json::{Value, json};

use crate::log::{Log, capability, doing, group, key, output, task, work};

/// A run of another workflow in place of work.
fn call(wait: bool) -> Work {
    Work {
        call: Some(Box::new(Call { wait, version: None })),
        timeout: Some(Duration::from_secs(10)),
        ..work()
    }
}

/// The attempts that are runs which are asked for, and those that are cancelled.
fn runs(log: &Log) -> (Vec<String>, Vec<String>) {
    let expected = log.expected();
    let told = |(task, attempt): &(_, _)| format!("{task} #{attempt}");
    (expected.called.keys().map(told).collect(), expected.uncalled.keys().map(told).collect())
}

#[test]
fn a_task_starts_a_run_and_has_its_output() {
    let log = Log::started([("a", doing(&[], call(true))), ("b", task(&["a"]))]);
    assert_eq!(runs(&log), (vec!["a #1".to_owned()], vec![]));
    let called = log.expected().called.remove(&key("a", "1")).expect("it is called");
    let deadline = Some(log.time(0) + TimeDelta::seconds(10));
    assert_eq!((called.at, called.what.workflow.as_str(), called.what.depth), (0, "c", 1));
    assert_eq!((called.what.input, called.what.deadline), (json!({ "n": 1 }), deadline));
    let log = log.busy("a", "1").fired(crate::log::retry_timer("a", "1"));
    assert_eq!(runs(&log).0, ["a #1", "a #2"], "each attempt is another run");
    let log = log.completed("a", "2", json!(7)).completed("b", "1", json!(8));
    assert_eq!(log.end(), Some((4, End::Completed { output: json!({ "b": 8 }) })));
    assert_eq!(runs(&log).1, [""; 0]);
}

#[test]
fn a_run_that_nobody_waits_for_any_more_is_cancelled() {
    let both = || [("a", doing(&[], call(true))), ("b", doing(&[], call(false))), ("c", task(&[]))];
    let log = Log::started(both()).cancelled("");
    assert_eq!(runs(&log), (vec!["a #1".to_owned(), "b #1".to_owned()], vec!["a #1".to_owned()]));
    let log = Log::started(both()).completed("a", "1", json!(1)).cancelled("");
    assert_eq!(runs(&log).1, [""; 0], "it has ended");
    let within = group([("p", doing(&[], call(true))), ("q", task(&[]))], None);
    let log = Log::started([("g", Task::of(within)), ("h", task(&[]))]).fatal("g:q", "1");
    assert_eq!(runs(&log), (vec!["g:p #1".to_owned()], vec!["g:p #1".to_owned()]));
    let stands = Log::started([("a", task(&[])), ("b", doing(&["a"], call(true)))]).told("pause", &json!({}));
    let log = stands.completed("a", "1", json!(1));
    assert_eq!(runs(&log).0, [""; 0], "nothing is begun");
    assert_eq!(runs(&log.told("resume", &json!({}))).0, ["b #1"]);
}

fn parent(wait: bool, deadline: Option<&str>) -> Value {
    let run: RunId = "0.00000000-0000-5000-8000-000000000000".parse().expect("a run");
    let mut parent =
        json!({ "run": run, "workflow": "around", "task": "t", "attempt": 2, "depth": 3, "wait": wait });
    if let Some(deadline) = deadline {
        parent["deadline"] = deadline.into();
    }
    json!({ "parent": parent })
}

/// A run of a task that is tried once and not more, started for another.
fn inner(body: Work, wait: bool) -> Log {
    let retry = Retry { max_attempts: Some(1), fatal_on: vec!["never".to_owned()], ..Retry::default() };
    let log = Log::of([("a", doing(&[], Work { retry: Some(retry), ..body }))]);
    log.start_with(json!({ "n": 1 }), parent(wait, Some("2023-11-14T22:13:50Z")))
}

fn report(log: &Log) -> Option<Report> {
    log.expected().report.map(|report| report.what)
}

fn failed(code: &str, retryable: bool) -> Option<Report> {
    Some(Report::Failed { code: code.to_owned(), retryable })
}

#[test]
fn a_run_tells_its_task_what_it_came_to() {
    let one = || inner(work(), true);
    assert_eq!(report(&one()), None);
    let done = one().completed("a", "1", json!(5));
    assert_eq!(report(&done), Some(Report::Completed(json!({ "a": 5 }))));
    assert_eq!(report(&one().busy("a", "1")), failed("busy", true));
    assert_eq!(report(&one().fatal("a", "1")), failed("no", false));
    let never = json!({ "code": "never", "message": "" });
    assert_eq!(report(&one().failed("a", "1", never)), failed("never", false), "it is fatal to the task");
    assert_eq!(report(&one().cancelled("")), failed("child_cancelled", false));
    assert_eq!(report(&one().fired(Timer::Deadline)), failed("timeout", true));
    let wrong =
        Work { with: Some(Template::Whole(Expression::Field(Box::new(Expression::Input), "x"))), ..work() };
    assert_eq!(report(&inner(wrong, true)), failed("expression", false));
    assert_eq!(report(&inner(work(), false).completed("a", "1", json!(5))), None, "nobody waits for it");
    assert_eq!(
        done.expected().timers[&Timer::Deadline].what.0.start().to_rfc3339(),
        "2023-11-14T22:13:50+00:00"
    );
}

#[test]
fn another_run_may_get_together_what_a_join_waits_for() {
    let join = Join::Quorum { quorum: Quota::Count(2), grace: None, deadline: None };
    let both = Task { join, ..task(&["a", "b"]) };
    let may_fail = || Task { on_failure: mesh_simulation::workload::OnFailure::Continue, ..task(&[]) };
    let log = Log::of([("a", may_fail()), ("b", may_fail()), ("both", both)]);
    let log = log.start_with(json!({}), parent(true, None)).fatal("a", "1").fatal("b", "1");
    assert_eq!(report(&log), failed("quorum_missed", true));
}

#[test]
fn the_output_of_a_run_is_the_result_of_its_task() {
    let of = Work { output: Some(Template::Whole(output("a"))), ..call(true) };
    let inner = Task::of(Body::Work(Work { agent: capability("c"), ..of }));
    let log = Log::started([
        ("a", task(&[])),
        ("b", Task { needs: ["a".parse().expect("an id")].into(), ..inner }),
    ]);
    let log = log.completed("a", "1", json!(1)).completed("b", "1", json!(2));
    assert_eq!(log.end(), Some((2, End::Completed { output: json!({ "b": 1 }) })));
}
