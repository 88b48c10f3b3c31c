use mesh_schemas::Timer;
use serde_json::json;

use crate::support::{Story, task};

const BOOK: &str = "
output: {paid: '${tasks.pay.output}', how: '${tasks.pay.status}', ship: '${tasks.ship.output}'}
tasks:
  pay: {agent: worker, on_failure: {task: invoice}}
  invoice: {agent: worker, with: '${tasks.pay.error}'}
  ship: {agent: worker, needs: [pay], with: '${tasks.pay.output}'}
";

#[test]
fn another_task_is_done_in_place_of_one_that_failed() {
    let mut story = Story::of(BOOK, json!({}));
    assert_eq!(story.new_work(), ["pay"]);
    assert_eq!(story.failed("pay", "declined").new_work(), ["invoice"]);
    assert_eq!(story.created("invoice").1, json!({"code": "declined", "message": "no"}));
    assert_eq!((story.status("pay"), story.status("ship")), ("failed", "pending"));
    assert_eq!(story.done("invoice", json!("by invoice")).new_work(), ["ship"]);
    assert_eq!(story.created("ship").1, json!("by invoice"));
    story.done("ship", json!(1));
    assert_eq!(story.output(), json!({"paid": "by invoice", "how": "failed", "ship": 1}));
    assert_eq!(story.counts(), [2, 1, 0, 0]);
}

#[test]
fn it_is_skipped_when_nothing_fails() {
    let mut story = Story::of(BOOK, json!({}));
    assert_eq!(story.done("pay", json!("by card")).new_work(), ["ship"]);
    assert_eq!(story.status("invoice"), "skipped");
    story.done("ship", json!(1));
    assert_eq!((story.output()["paid"].clone(), story.counts()), (json!("by card"), [2, 0, 1, 0]));
}

#[test]
fn if_that_fails_too_its_own_failure_counts() {
    let mut story = Story::of(BOOK, json!({}));
    story.failed("pay", "declined").failed("invoice", "unknown");
    assert_eq!((story.failure().0.as_str(), story.failure().1.as_str()), ("unknown", "invoice"));
    let tolerated = BOOK.replace("invoice: {", "invoice: {on_failure: continue, ");
    let mut story = Story::of(&tolerated, json!({}));
    assert_eq!(story.failed("pay", "declined").failed("invoice", "unknown").new_work(), ["ship"]);
    assert_eq!(story.created("ship").1, json!(null));
}

#[test]
fn if_that_is_not_done_the_first_failure_counts() {
    let conditional = BOOK.replace("invoice: {", "invoice: {when: tasks.pay.error.code == 'declined', ");
    let mut story = Story::of(&conditional, json!({}));
    assert_eq!(story.failed("pay", "declined").new_work(), ["invoice"]);
    let mut story = Story::of(&conditional, json!({}));
    story.failed("pay", "broken");
    assert_eq!((story.failure().0.as_str(), story.failure().1.as_str()), ("broken", "pay"));
}

#[test]
fn one_may_stand_in_for_one_that_stands_in() {
    let tasks = "
output: '${tasks.a.output}'
tasks:
  a: {agent: worker, on_failure: {task: b}}
  b: {agent: worker, on_failure: {task: c}}
  c: {agent: worker}
";
    let mut story = Story::of(tasks, json!({}));
    assert_eq!(story.failed("a", "x").new_work(), ["b"]);
    assert_eq!(story.failed("b", "y").new_work(), ["c"]);
    story.done("c", json!("third"));
    assert_eq!((story.output(), story.counts()), (json!("third"), [1, 2, 0, 0]));
}

#[test]
fn one_that_stands_in_never_begins_before_it_is_called() {
    let tasks = "
output: '${tasks.pay.output}'
tasks:
  pay: {agent: worker, on_failure: {task: invoice}}
  a: {agent: worker}
  b: {agent: worker}
  invoice: {agent: worker, needs: [a, b], join: JOIN}
";
    let any = tasks.replace("JOIN", "any");
    let mut story = Story::of(&any, json!({}));
    assert_eq!(story.done("a", json!(1)).new_work(), Vec::<String>::new());
    story.done("pay", json!("by card")).done("b", json!(2));
    assert_eq!((story.output(), story.counts()), (json!("by card"), [3, 0, 1, 0]));
    let mut story = Story::of(&any, json!({}));
    assert_eq!(story.done("a", json!(1)).failed("pay", "declined").new_work(), ["invoice"]);

    let timed = tasks.replace("JOIN", "{quorum: 2, deadline: 30s}");
    let mut story = Story::of(&timed, json!({}));
    assert_eq!(story.timers(), [Timer::Deadline]);
    let timer = || Timer::Join(task("invoice"));
    assert_eq!(story.failed("pay", "declined").timers(), [Timer::Deadline, timer()]);
    assert_eq!(story.fired(timer()).failure().0, "quorum_missed");
}
