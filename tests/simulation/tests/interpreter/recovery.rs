//! What follows when nothing makes up for a failure, on logs written by hand, of which the fold of `mesh-core` makes the same.

use std::time::Duration;

use mesh_simulation::interpreter::End;
use mesh_simulation::workload::{OnFailure, Recovery, Retry, Task, Template, Work};
use serde_json::json;

use crate::log::{Log, doing, failed, group, output, retry_timer, task, work};

/// A task that is tried once, alone or in a group.
fn log(recovery: Recovery, change: impl FnOnce(&mut Task)) -> Log {
    let retry = Retry { max_attempts: Some(1), max: Some(Duration::from_secs(7)), ..Retry::default() };
    let one = doing(&[], Work { retry: Some(retry), ..work() });
    let mut grouped = Task::of(group([("p", one)], None));
    change(&mut grouped);
    let mut log = Log::of([("g", grouped), ("b", task(&[]))]);
    log.workflow.recovery = recovery;
    log.workflow.output =
        Some(Template::List(vec![Template::Whole(output("g")), Template::Whole(output("b"))]));
    log.start(json!({}))
}

#[test]
fn a_workflow_goes_on_without_what_failed() {
    let log = log(Recovery::Continue, |_| {}).fatal("g:p", "1").completed("b", "1", json!(2));
    assert_eq!(log.end(), Some((2, End::Completed { output: json!([null, 2]) })));
}

#[test]
fn a_workflow_has_more_tries_than_its_tasks() {
    let log = log(Recovery::Retry(1), |_| {}).fatal("g:p", "1");
    assert_eq!(log.pause("g:p", "1"), Some((7_000, 7_000)));
    let log = log.fired(retry_timer("g:p", "1"));
    assert_eq!(log.created("g:p", "2"), Some((2, json!({}))));
    assert_eq!(log.fatal("g:p", "2").end(), Some((3, failed("no", Some("g:p")))));
}

#[test]
fn only_what_nothing_makes_up_for_is_recovered() {
    let log = log(Recovery::Retry(1), |task| task.on_failure = OnFailure::Continue).fatal("g:p", "1");
    assert_eq!((log.pause("g:p", "1"), log.end()), (None, None));
}
