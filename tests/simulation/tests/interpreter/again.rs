//! Runs that do others again in part, on logs written by hand, of which the fold of `mesh-core` makes the same.

use mesh_simulation::interpreter::{End, Went, taken_over};
use mesh_simulation::workload::{Expression, OnFailure, Task};
use serde_json::{Value, json};

use crate::log::{Log, doing, given, id, output, task};

/// A chain of three, of which the second says whether it is wanted, and one beside it.
fn chain() -> Log {
    let when = Some(Expression::Field(Box::new(Expression::Input), "ok"));
    let middle = Task { when, ..doing(&["a"], given(output("a"))) };
    Log::of([("a", task(&[])), ("b", middle), ("c", task(&["b"])), ("d", task(&[]))])
}

/// The chain as it begins where something is taken over.
fn again(input: Value, tasks: &[&str], skipped: &[&str]) -> Log {
    let tasks: Value = tasks.iter().map(|task| ((*task).to_owned(), json!({ "output": *task }))).collect();
    let run = "0.00000000-0000-5000-8000-000000000000";
    chain().start_with(input, json!({ "taken_over": { "run": run, "tasks": tasks, "skipped": skipped } }))
}

/// The tasks that are asked for.
fn created(log: &Log) -> Vec<String> {
    log.expected().created.keys().map(|(task, _)| task.to_string()).collect()
}

#[test]
fn what_is_taken_over_is_not_done_again() {
    let log = again(json!({ "ok": true }), &["a", "b"], &[]);
    assert_eq!(created(&log), ["c", "d"]);
    let log = log.completed("c", "1", json!(3)).completed("d", "1", json!(4));
    assert_eq!(log.end(), Some((2, End::Completed { output: json!({ "c": 3, "d": 4 }) })));
    assert_eq!(log.expected().end.expect("it has ended").what.tasks.done, 4, "they count");
}

#[test]
fn what_needs_something_that_goes_otherwise_is_done_again() {
    let log = again(json!({ "ok": false }), &["a", "b", "c", "d"], &[]);
    assert_eq!(created(&log), [""; 0], "the second is not wanted any more, and so is the third");
    assert_eq!(log.end().map(|(at, _)| at), Some(0));
    let log = again(json!({ "ok": true }), &["a", "c", "d"], &["b"]);
    assert_eq!((created(&log), log.created("b", "1")), (vec!["b".to_owned()], Some((0, json!("a")))));
    assert_eq!(created(&log.completed("b", "1", json!(2))), ["b", "c"], "it was skipped before");
}

#[test]
fn a_run_stands_before_what_its_request_names_and_not_before_what_it_takes_over() {
    let ok = || json!({ "ok": true });
    let log = chain().start_with(ok(), json!({ "pause_before": ["a"] }));
    assert_eq!((created(&log), log.expected().paused[&1].what.task.clone()), (vec![], Some(id("a"))));
    let mut log = again(ok(), &["a", "b", "d"], &[]);
    log.workflow.tasks.values_mut().for_each(|task| task.pause_before = true);
    assert_eq!(
        log.expected().paused.values().map(|pause| pause.what.task.clone()).collect::<Vec<_>>(),
        [Some(id("c"))]
    );
}

#[test]
fn what_went_wrong_is_done_again_with_all_that_follows() {
    let log =
        chain().start(json!({ "ok": true })).completed("a", "1", json!(1)).completed("d", "1", json!(4));
    let log = log.fatal("b", "1");
    let kept = log.expected().kept;
    let output = |went: &Went| match went {
        Went::Well(seen) => Some(seen.output.clone()),
        _ => None,
    };
    let went: Vec<Option<Value>> = kept.iter().map(|kept| output(&kept.went)).collect();
    assert_eq!(went, [Some(json!(1)), None, None, Some(json!(4))]);
    let taken = |from: &[&str]| {
        let from: Vec<_> = from.iter().map(|task| id(task)).collect();
        taken_over(&log.workflow, &kept, &from).map(|taken| taken.tasks().map(ToString::to_string).collect())
    };
    assert_eq!(taken(&[]), Some(vec!["a".to_owned(), "d".to_owned()]));
    assert_eq!(taken(&["a"]), Some(vec!["d".to_owned()]));
}

#[test]
fn where_all_went_well_nothing_is_done_again() {
    let may_fail = Task { on_failure: OnFailure::Continue, ..task(&[]) };
    let log = Log::started([("a", may_fail), ("b", task(&[]))]).completed("b", "1", json!(2));
    let kept = |log: &Log| log.expected().kept;
    let well = log.completed("a", "1", json!(1));
    assert_eq!(taken_over(&well.workflow, &kept(&well), &[]), None);
    assert!(taken_over(&well.workflow, &kept(&well), &[id("b")]).is_some());
}
