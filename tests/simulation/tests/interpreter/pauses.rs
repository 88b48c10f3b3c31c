//! Runs that are paused and go on, on logs written by hand, of which the fold of `mesh-core` makes the same.

use mesh_simulation::interpreter::End;
use mesh_simulation::workload::{Recovery, Retry, Task, Work};
use serde_json::json;

use crate::log::{Log, doing, failed, id, task, work};

/// Where pauses begin and end.
fn pauses(log: &Log) -> (Vec<usize>, Vec<usize>) {
    let expected = log.expected();
    let begins = expected.paused.values().map(|pause| pause.at).collect();
    (begins, expected.resumed.values().map(|resumed| resumed.at).collect())
}

fn at(log: &Log, task: &str, attempt: &str) -> Option<usize> {
    log.created(task, attempt).map(|(at, _)| at)
}

#[test]
fn a_paused_run_begins_nothing_new() {
    let log =
        Log::started([("a", task(&[])), ("b", task(&["a"]))]).told("pause", &json!({ "reason": "lunch" }));
    let log = log.completed("a", "1", json!(1)).told("pause", &json!({}));
    assert_eq!((pauses(&log), at(&log, "b", "1")), ((vec![1], vec![]), None));
    let log = log.told("resume", &json!({}));
    assert_eq!((pauses(&log), at(&log, "b", "1")), ((vec![1], vec![4]), Some(4)));
    assert_eq!(log.expected().created[&crate::log::key("b", "1")].what.basis, log.time(4));
    let log = log.completed("b", "1", json!(2));
    assert_eq!(log.end(), Some((5, End::Completed { output: json!({ "b": 2 }) })));
}

#[test]
fn what_is_kept_back_ends_with_its_run() {
    let log = Log::started([("a", task(&[])), ("b", task(&["a"]))]).told("pause", &json!({}));
    let log = log.completed("a", "1", json!(1)).cancelled("");
    assert_eq!((log.end(), log.given_up()), (Some((3, End::Cancelled { reason: None })), vec![]));
}

#[test]
fn a_run_stands_before_a_task_that_is_not_skipped() {
    let before = || Task { pause_before: true, ..task(&["a"]) };
    let log = Log::started([("a", task(&[])), ("b", before())]).completed("a", "1", json!(1));
    assert_eq!((pauses(&log).0, at(&log, "b", "1")), (vec![1], None));
    assert_eq!(log.expected().paused[&1].what.task, Some(id("b")));
    assert_eq!(at(&log.told("resume", &json!({})), "b", "1"), Some(2));
}

/// Two tasks, each tried once.
fn stuck() -> Log {
    let retry = || Retry { max_attempts: Some(1), ..Retry::default() };
    let once = || doing(&[], Work { retry: Some(retry()), ..work() });
    let mut log = Log::of([("a", once()), ("b", once()), ("c", task(&["a"]))]);
    log.workflow.recovery = Recovery::Pause;
    log.start(json!({})).fatal("a", "1")
}

#[test]
fn a_failure_pauses_the_run_until_somebody_has_it_tried_again() {
    let log = stuck();
    assert_eq!((pauses(&log), log.end()), ((vec![1], vec![]), None));
    assert_eq!(log.expected().paused[&1].what.task, Some(id("a")));
    let again = log.told("retry", &json!({ "task": "a", "input": "mended" }));
    assert_eq!(again.created("a", "2"), Some((2, json!("mended"))));
    assert_eq!(pauses(&again), (vec![1], vec![2]));
    let again = again.fatal("a", "2").told("resume", &json!({}));
    assert_eq!(again.created("a", "3"), Some((4, json!("mended"))));
    assert_eq!(at(&stuck().told("retry", &json!({ "task": "b" })), "a", "2"), None);
}

#[test]
fn a_run_goes_on_when_nothing_is_left_that_failed() {
    let log = stuck().fatal("b", "1").told("retry", &json!({ "task": "b" })).completed("b", "2", json!(1));
    assert_eq!((at(&log, "b", "2"), pauses(&log)), (Some(3), (vec![1], vec![])));
    let log = log.told("retry", &json!({}));
    assert_eq!((at(&log, "a", "2"), pauses(&log)), (Some(5), (vec![1], vec![5])));
}

#[test]
fn what_waits_for_a_word_has_failed_when_its_run_ends() {
    let log = stuck().fired(mesh_schemas::Timer::Deadline);
    assert_eq!(
        (log.end(), log.given_up()),
        (Some((2, failed("timeout", None))), vec![("b".into(), 2, "run_ended")])
    );
    let tasks = log.expected().end.expect("an end").what.tasks;
    assert_eq!((tasks.failed, tasks.cancelled), (1, 2));
}
