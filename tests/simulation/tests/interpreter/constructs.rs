//! Groups, cases, loops, joins and stand-ins one by one, on logs written by hand, of which the fold of `mesh-core` makes the
//! same.

use std::time::Duration;

use mesh_schemas::Timer;
use mesh_simulation::interpreter::End;
use mesh_simulation::workload::{
    Case, Each, Expression, Join, Local, Often, OnFailure, Operator, Quota, Repeat, Task, Template,
};
use serde_json::{Value, json};

use crate::log::{Log, doing, failed, given, group, id, output, task, work};

fn at(log: &Log, task: &str) -> Option<usize> {
    log.created(task, "1").map(|(at, _)| at)
}

fn input(log: &Log, task: &str) -> Option<Value> {
    log.created(task, "1").map(|(_, input)| input)
}

fn given_up(log: &Log) -> Vec<String> {
    log.given_up().into_iter().map(|(task, at, code)| format!("{at} {task} {code}")).collect()
}

fn completed(log: &Log) -> Option<(usize, Value)> {
    log.end().map(|(at, end)| match end {
        End::Completed { output } => (at, output),
        other => panic!("{other:?}"),
    })
}

fn each(items: Value) -> Each {
    Each {
        items: Template::Plain(items),
        max_parallel: None,
        max_items: None,
        tolerate: None,
        adaptive: None,
    }
}

fn of_each(each: Each) -> Task {
    let item = given(Expression::Local(Local::Item));
    Task { often: Often::Each(each), ..doing(&[], item) }
}

fn quorum(quorum: Quota, grace: Option<u64>, deadline: Option<u64>) -> Join {
    let millis = |millis: Option<u64>| millis.map(Duration::from_millis);
    Join::Quorum { quorum, grace: millis(grace), deadline: millis(deadline) }
}

/// Three tasks that may fail, and one that does not wait for all of them.
fn joined(join: Join) -> Log {
    let one = || Task { on_failure: OnFailure::Continue, ..task(&[]) };
    let seen =
        Template::List(vec![Template::Whole(output("b")), Template::Whole(Expression::Status(id("b")))]);
    let mut last = work();
    last.with = Some(seen);
    let mut log = Log::of([
        ("a", one()),
        ("b", one()),
        ("c", one()),
        ("m", Task { join, ..doing(&["a", "b", "c"], last) }),
    ]);
    log.workflow.output = Some(Template::Whole(output("m")));
    log.start(json!({}))
}

#[test]
fn a_group_begins_and_ends_with_its_tasks() {
    let inner = group([("p", task(&[])), ("q", doing(&["p"], given(output("p"))))], Some(output("q")));
    let log = Log::started([("g", Task { needs: [id("a")].into(), ..Task::of(inner) }), ("a", task(&[]))]);
    let log = log.completed("a", "1", json!(1)).completed("g:p", "1", json!("x"));
    assert_eq!((at(&log, "g:p"), log.created("g:q", "1")), (Some(1), Some((2, json!("x")))));
    assert_eq!(completed(&log.completed("g:q", "1", json!("y"))), Some((3, json!({ "g": "y" }))));
}

#[test]
fn a_group_that_fails_gives_up_what_is_left_of_it() {
    let tolerated = |on_failure| {
        let inner = group([("p", task(&[])), ("q", task(&[])), ("s", task(&["p"]))], None);
        let log = Log::started([("g", Task { on_failure, ..Task::of(inner) }), ("h", task(&[]))]);
        log.busy("g:q", "1").fatal("g:p", "1")
    };
    let log = tolerated(OnFailure::Fail);
    assert_eq!(
        (log.end(), given_up(&log)),
        (Some((2, failed("no", Some("g:p")))), vec!["2 h run_ended".into()])
    );
    let log = tolerated(OnFailure::Continue);
    assert_eq!((log.end(), given_up(&log)), (None, vec![]));
    let log = log.fired(crate::log::retry_timer("g:q", "1"));
    assert_eq!(log.created("g:q", "2"), None, "what comes for a part of it is late");
    let log = log.completed("h", "1", json!(1));
    assert_eq!(completed(&log), Some((4, json!({ "g": null, "h": 1 }))));
    let tasks = log.expected().end.expect("an end").what.tasks;
    assert_eq!((tasks.done, tasks.failed, tasks.cancelled), (1, 1, 2));

    let open = group([("p", task(&[])), ("q", task(&[]))], None);
    let log =
        Log::started([("g", Task { on_failure: OnFailure::Continue, ..Task::of(open) }), ("h", task(&[]))]);
    assert_eq!(given_up(&log.fatal("g:p", "1")), ["1 g:q overtaken"]);
}

#[test]
fn the_first_case_that_holds_is_done_or_none() {
    let route = |n: i64| {
        let is = |n: i64| {
            Expression::binary(Operator::Equal, Expression::Input.field("n"), Expression::Literal(n.into()))
        };
        let cases = vec![
            Case { when: Some(is(1)), body: task(&[]).body },
            Case { when: Some(is(2)), body: group([("p", task(&[]))], None) },
        ];
        let switch = Task::of(mesh_simulation::workload::Body::Switch(cases));
        Log::of([("r", switch), ("s", task(&["r"]))]).start(json!({ "n": n }))
    };
    let log = route(1);
    assert_eq!((at(&log, "r:0"), at(&log, "r:1:p")), (Some(0), None));
    assert_eq!(at(&log.completed("r:0", "1", json!(1)), "s"), Some(1));
    let log = route(2).completed("r:0", "1", json!(1));
    assert_eq!((at(&log, "r:0"), at(&log, "r:1:p"), at(&log, "s")), (None, Some(0), None));
    let log = route(3);
    assert_eq!(completed(&log), Some((0, json!({ "s": null }))));
    assert_eq!(log.expected().end.expect("an end").what.tasks.skipped, 2);
}

#[test]
fn items_begin_in_order_as_far_as_they_may() {
    let log = Log::started([("f", of_each(Each { max_parallel: Some(2), ..each(json!([5, 6, 7])) }))]);
    assert_eq!(
        (input(&log, "f:0"), input(&log, "f:1"), at(&log, "f:2")),
        (Some(json!(5)), Some(json!(6)), None)
    );
    let log = log.completed("f:1", "1", json!("b"));
    assert_eq!(log.created("f:2", "1"), Some((1, json!(7))));
    let log = log.completed("f:0", "1", json!("a"));
    assert_eq!((log.end(), at(&log, "f:3")), (None, None));
    assert_eq!(completed(&log.completed("f:2", "1", json!("c"))), Some((3, json!({ "f": ["a", "b", "c"] }))));

    let log = Log::started([("f", of_each(each(json!({ "y": 1, "x": 2 }))))]);
    let log = log.completed("f:0", "1", json!("first")).completed("f:1", "1", json!("second"));
    assert_eq!(completed(&log), Some((2, json!({ "f": { "x": "first", "y": "second" } }))));
    assert_eq!(completed(&Log::started([("f", of_each(each(json!([]))))])), Some((0, json!({ "f": [] }))));
}

#[test]
fn so_many_items_may_fail_and_no_more() {
    let three = |tolerate| Log::started([("f", of_each(Each { tolerate, ..each(json!([1, 2, 3])) }))]);
    let log = three(Some(Quota::Percent(34))).fatal("f:1", "1").completed("f:0", "1", json!(0));
    let log = log.completed("f:2", "1", json!(2));
    let error = json!({ "error": { "code": "no", "message": "" } });
    assert_eq!(completed(&log), Some((3, json!({ "f": [0, error, 2] }))));
    let log = three(Some(Quota::Percent(33))).fatal("f:1", "1");
    assert_eq!(log.end(), Some((1, failed("too_many_failures", Some("f")))));
    assert_eq!(given_up(&log), ["1 f:0 overtaken", "1 f:2 overtaken"]);
    let log = three(None).fatal("f:1", "1");
    assert_eq!(log.end(), Some((1, failed("no", Some("f:1")))));
    let log = Log::started([("f", of_each(Each { max_items: Some(2), ..each(json!([1, 2, 3])) }))]);
    assert_eq!(log.end(), Some((0, failed("too_many_items", Some("f")))));
}

#[test]
fn iterations_follow_until_the_condition_holds() {
    let again = |goes_on| {
        let until = Expression::binary(Operator::Equal, Expression::Result, Expression::Literal(7.into()));
        let often = Often::Repeat(Repeat { until, max: 2, goes_on });
        Log::started([("r", Task { often, ..doing(&[], given(Expression::Local(Local::Previous))) })])
    };
    let log = again(false).completed("r:1", "1", json!(3));
    assert_eq!((input(&log, "r:1"), log.created("r:2", "1")), (Some(json!(null)), Some((1, json!(3)))));
    let mut other = log.completed("r:2", "1", json!(8));
    assert_eq!(other.end(), Some((2, failed("repeat_exhausted", Some("r")))));
    let log = again(true).completed("r:1", "1", json!(3)).completed("r:2", "1", json!(8));
    assert_eq!(completed(&log), Some((2, json!({ "r": 8 }))));
    other = again(false).completed("r:1", "1", json!(7));
    other.workflow.output = Some(Template::Whole(Expression::Iterations(id("r"))));
    assert_eq!(completed(&other), Some((1, json!([7]))));
}

#[test]
fn any_is_the_first_that_goes_well() {
    let log = joined(Join::Any).fatal("c", "1");
    assert_eq!(at(&log, "m"), None);
    let log = log.completed("a", "1", json!(1));
    assert_eq!(log.created("m", "1"), Some((2, json!([null, null]))));
    let log = log.fatal("b", "1").completed("m", "1", json!("end"));
    assert_eq!((completed(&log), given_up(&log)), (Some((4, json!("end"))), vec![]));
    let log = joined(Join::Any).completed("a", "1", json!(1)).completed("m", "1", json!("end"));
    assert_eq!(given_up(&log), ["2 b run_ended", "2 c run_ended"]);
}

#[test]
fn enough_wait_a_further_time_for_the_others() {
    let log = joined(quorum(Quota::Percent(50), Some(5_000), None)).completed("a", "1", json!(1));
    assert_eq!(log.expected().timers.len(), 1);
    let log = log.completed("b", "1", json!(2));
    let timer = Timer::Grace(id("m"));
    assert_eq!((log.expected().timers[&timer].at, at(&log, "m")), (2, None));
    let log = log.fired(timer);
    assert_eq!(log.created("m", "1"), Some((3, json!([2, "done"]))));
    let log = joined(quorum(Quota::Count(2), Some(5_000), None));
    let log = log.completed("a", "1", json!(1)).completed("b", "1", json!(2)).fatal("c", "1");
    assert_eq!(at(&log, "m"), Some(3), "there are no others");
}

#[test]
fn too_few_miss_the_quorum() {
    let log = joined(quorum(Quota::Count(2), None, None)).fatal("a", "1").completed("b", "1", json!(1));
    assert_eq!(log.end(), None);
    assert_eq!(log.fatal("c", "1").end(), Some((3, failed("quorum_missed", Some("m")))));
    let timed = || joined(quorum(Quota::Count(2), None, Some(5_000)));
    let timer = || Timer::Join(id("m"));
    assert_eq!(timed().expected().timers[&timer()].at, 0);
    let log = timed().completed("a", "1", json!(1)).fired(timer());
    assert_eq!(log.end(), Some((2, failed("quorum_missed", Some("m")))));
    assert_eq!(given_up(&log), ["2 b run_ended", "2 c run_ended"]);
}

#[test]
fn another_stands_in_for_one_that_fails() {
    let book = || {
        let error = Expression::Error(id("a")).field("code");
        Log::started([
            ("a", Task { on_failure: OnFailure::Task(id("b")), ..task(&[]) }),
            ("b", doing(&[], given(error))),
            ("c", doing(&["a"], given(output("a")))),
        ])
    };
    let log = book().fatal("a", "1");
    assert_eq!((log.created("b", "1"), at(&log, "c")), (Some((1, json!("no"))), None));
    let log = log.completed("b", "1", json!("instead"));
    assert_eq!(log.created("c", "1"), Some((2, json!("instead"))));
    let log = book().completed("a", "1", json!("itself"));
    assert_eq!((at(&log, "b"), input(&log, "c")), (None, Some(json!("itself"))));
    let log = book().fatal("a", "1").fatal("b", "1");
    assert_eq!(log.end(), Some((2, failed("no", Some("b")))));
}
