//! What agents plan, on logs written by hand, of which the fold of `mesh-core` makes the same.

use mesh_simulation::interpreter::End;
use mesh_simulation::workload::{
    Body, Expression, Group, OnFailure, Planner, Recovery, Retry, Task, Template, Work,
};
use serde_json::{Value, json};

use crate::log::{Log, capability, doing, failed, group, id, output, task, work};

fn tasks<const N: usize>(tasks: [(&str, Task); N], output: Option<Expression>) -> Group {
    match group(tasks, output) {
        Body::Group(group) => group,
        other => panic!("{other:?}"),
    }
}

/// Two tasks of which one needs the other.
fn two() -> Group {
    tasks([("x", task(&[])), ("y", doing(&["x"], crate::log::given(output("x"))))], Some(output("y")))
}

fn planning(planner: Planner) -> Task {
    doing(&[], Work { plan: Some(Box::new(planner)), ..work() })
}

fn of(plan: &Group) -> Planner {
    Planner { plans: vec![plan.clone()], ..Planner::default() }
}

/// What a run fails with if the agent of its task returns a plan.
fn refused(planner: Planner, returned: Value) -> Option<(usize, End)> {
    Log::started([("p", planning(planner))]).completed("p", "1", returned).end()
}

#[test]
fn what_an_agent_planned_is_done_in_its_place() {
    let mut work = Work { plan: Some(Box::new(of(&two()))), ..work() };
    work.output = Some(Template::List(vec![Template::Whole(Expression::Result)]));
    let log = Log::started([("p", doing(&[], work)), ("b", task(&["p"]))]);
    let log = log.completed("p", "1", two().to_plan());
    assert_eq!((log.created("p:x", "1"), log.created("p:y", "1")), (Some((1, json!({ "n": 1 }))), None));
    let log = log.completed("p:x", "1", json!(5));
    assert_eq!(log.created("p:y", "1"), Some((2, json!(5))));
    let log = log.completed("p:y", "1", json!(6));
    assert_eq!(log.created("b", "1"), Some((3, json!({ "n": 1 }))));
    let mut log = log.completed("b", "1", json!(7));
    log.workflow.output = Some(Template::Whole(output("p")));
    assert_eq!(log.end(), Some((4, End::Completed { output: json!([6]) })));
    assert_eq!(log.expected().end.expect("an end").what.tasks.done, 4);
}

#[test]
fn a_plan_that_fails_is_given_up_with_its_task() {
    let both = tasks([("x", task(&[])), ("y", task(&[])), ("z", task(&["x"]))], None);
    let planner = Task { on_failure: OnFailure::Continue, ..planning(of(&both)) };
    let log = Log::started([("p", planner), ("b", task(&[]))]).completed("p", "1", both.to_plan());
    let log = log.fatal("p:y", "1");
    assert_eq!(log.given_up(), [("p:x".to_owned(), 2, "overtaken")]);
    let log = log.completed("b", "1", json!(1));
    assert_eq!(log.end(), Some((3, End::Completed { output: json!({ "b": 1, "p": null }) })));
    let tasks = log.expected().end.expect("an end").what.tasks;
    assert_eq!((tasks.done, tasks.failed, tasks.cancelled), (1, 2, 2));
}

#[test]
fn a_plan_that_cannot_be_followed_fails_its_task() {
    let invalid = Some((1, failed("invalid_plan", Some("p"))));
    assert_eq!(refused(of(&two()), json!({ "n": 1 })), invalid, "no plan");
    let unknown = tasks([("x", task(&["nobody"]))], None);
    assert_eq!(refused(of(&unknown), unknown.to_plan()), invalid, "an unknown need");
    let few = Planner { max_tasks: Some(1), ..of(&two()) };
    assert_eq!(refused(few, two().to_plan()), invalid, "too many tasks");
    let foreign = tasks([("x", Task::new(capability("d")))], None);
    assert_eq!(refused(of(&foreign), foreign.to_plan()), invalid, "a capability that nobody asks for");
    let allowed = Planner { capabilities: [capability("d")].into(), ..of(&foreign) };
    assert_eq!(refused(allowed, foreign.to_plan()), None, "one that may be asked for");
}

#[test]
fn plans_stand_in_plans_as_deep_as_they_may() {
    let inner = tasks([("k", task(&[]))], None);
    let outer = tasks([("x", planning(of(&inner)))], None);
    let flat = Planner { max_depth: Some(1), ..of(&outer) };
    assert_eq!(refused(flat, outer.to_plan()), Some((1, failed("invalid_plan", Some("p")))));
    let log = Log::started([("p", planning(of(&outer)))]).completed("p", "1", outer.to_plan());
    let log = log.completed("p:x", "1", inner.to_plan()).completed("p:x:k", "1", json!(7));
    assert_eq!(log.end(), Some((3, End::Completed { output: json!({ "p": { "x": { "k": 7 } } }) })));
}

#[test]
fn what_is_planned_is_recovered_and_a_plan_is_not() {
    let retry = Retry { max_attempts: Some(1), ..Retry::default() };
    let plan = tasks([("x", doing(&[], Work { retry: Some(retry), ..work() }))], None);
    let mut log = Log::of([("p", planning(of(&plan)))]);
    log.workflow.recovery = Recovery::Pause;
    let log = log.start(json!({}));
    let log = log
        .completed("p", "1", plan.to_plan())
        .fatal("p:x", "1")
        .told("retry", &json!({ "task": id("p:x") }));
    assert_eq!(log.created("p:x", "2"), Some((3, json!({}))));
    let mut log = Log::of([("p", planning(of(&plan)))]);
    log.workflow.recovery = Recovery::Pause;
    let log = log.start(json!({})).completed("p", "1", json!(null));
    assert_eq!(log.end(), Some((1, failed("invalid_plan", Some("p")))));
}
