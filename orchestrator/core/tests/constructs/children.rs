use chrono::TimeDelta;
use mesh_core::{Action, Fact};
use mesh_schemas::payload::{CancelSignal, Parent};
use mesh_schemas::{Attempt, Digest, RequestId, RunId, Shards, Timer};
use serde_json::json;

use crate::support::{Story, begun, run_id, task};

const ONE: &str = "
output: '${tasks.onboard.output}'
tasks:
  onboard:
    workflow: onboarding
    with: {merchant: '${input.m}'}
    output: '${result.id}'
    timeout: 10m
    retry: {max_attempts: 2, initial: 1s, jitter: 0}
";

fn cancel() -> Fact {
    Fact::Cancel(CancelSignal { reason: Some("enough".to_owned()) })
}

#[test]
fn a_task_asks_for_a_run_and_takes_its_output() {
    let mut story = Story::of(ONE, json!({"m": "Ada"}));
    assert_eq!((story.new_children(), story.new_work()), (vec!["onboard.1".to_owned()], vec![]));
    let child = story.child("onboard");
    assert_eq!((child.workflow.as_str(), child.input), ("onboarding", json!({"merchant": "Ada"})));
    let parent = Parent {
        run: run_id(),
        workflow: "story".to_owned(),
        task: task("onboard"),
        attempt: Attempt::FIRST,
        depth: 1,
        wait: true,
        version: None,
        deadline: Some(begun() + TimeDelta::minutes(10)),
    };
    assert_eq!(child.parent, parent);
    assert_eq!(story.status("onboard"), "active");
    assert!(story.may_be_missing(|action| matches!(action, Action::StartChild(..))));
    story.done("onboard", json!({"id": 7}));
    assert!(!story.may_be_missing(|action| matches!(action, Action::StartChild(..))));
    assert_eq!((story.output(), story.counts()), (json!(7), [1, 0, 0, 0]));
}

#[test]
fn each_attempt_is_another_run() {
    let mut story = Story::of(ONE, json!({"m": 1}));
    assert_eq!(story.fails_for_now("onboard", "broken").new_children(), Vec::<String>::new());
    assert_eq!(story.status("onboard"), "retrying");
    let retry = Timer::Retry { task: task("onboard"), after: Attempt::FIRST };
    assert_eq!(story.fired(retry).new_children(), ["onboard.2"]);
    let second = story.child("onboard").parent;
    assert_eq!(second.attempt, Attempt::FIRST.next());
    let anew = begun() + TimeDelta::minutes(10) + TimeDelta::seconds(2);
    assert_eq!(second.deadline, Some(anew), "it has its time anew");
    story.fails_for_now("onboard", "broken");
    assert_eq!(
        story.failure(),
        ("broken".to_owned(), "onboard".to_owned(), "task 'onboard' failed: no".to_owned())
    );
    let mut story = Story::of(ONE, json!({"m": 1}));
    story.failed("onboard", "child_cancelled");
    assert_eq!(story.failure().0, "child_cancelled", "what is not worth it is not tried again");
}

#[test]
fn a_run_may_be_pinned_and_not_waited_for() {
    let digest = Digest::of(b"x");
    let tasks =
        format!("tasks: {{tell: {{workflow: telling, version: '{digest}', wait: false}}}}\ntimeout: 1m");
    let mut story = Story::of(&tasks, json!({"n": 1}));
    let child = story.child("tell");
    assert_eq!(
        (child.parent.wait, child.parent.version, child.input),
        (false, Some(digest), json!({"n": 1}))
    );
    assert_eq!(child.parent.deadline, None, "it has its own time");
    let waits = tasks.replace(", wait: false", "");
    let deadline = Story::of(&waits, json!({})).child("tell").parent.deadline;
    assert_eq!(deadline, Some(begun() + TimeDelta::minutes(1)), "as long as the run around");
    // Nobody waits for it, so nobody ends it.
    assert_eq!(story.push(cancel()).cancelled_children(), []);
    assert_eq!(story.given_up(), ["tell run_ended"]);
}

#[test]
fn with_the_run_its_runs_end() {
    let tasks = "tasks: {a: {workflow: w}, b: {workflow: w, foreach: {in: [1, 2]}}, c: {agent: worker}}";
    let mut story = Story::of(tasks, json!({}));
    assert_eq!(story.new_children(), ["a.1", "b:0.1", "b:1.1"]);
    story.done("b:0", json!(1)).push(cancel());
    let cancelled = story.cancelled_children();
    let whose: Vec<&str> = cancelled.iter().map(|(task, _)| task.as_str()).collect();
    assert_eq!(whose, ["a", "b:1"], "those that are open");
    let reason = format!("task 'a' of run {} does not wait for it any more: the run was cancelled", run_id());
    assert_eq!(cancelled[0].1, reason);
    assert_eq!(story.given_up(), ["a run_ended", "b:1 run_ended", "c run_ended"]);
    assert!(story.may_be_missing(|action| matches!(action, Action::CancelChild(..))));
    story.push(Fact::Ended);
    assert!(!story.may_be_missing(|action| matches!(action, Action::CancelChild(..))));
}

#[test]
fn what_is_over_ends_its_runs_alone() {
    let tasks = "
tasks:
  group:
    tasks: {a: {workflow: w}, b: {agent: worker}}
    on_failure: continue
  other: {workflow: w}
";
    let mut story = Story::of(tasks, json!({}));
    story.failed("group:b", "broken");
    let cancelled = story.cancelled_children();
    assert!(cancelled.len() == 1 && cancelled[0].0 == "group:a", "{cancelled:?}");
    assert!(cancelled[0].1.ends_with("'group' ended because task 'group:b' failed"), "{cancelled:?}");
    assert!(story.is_open() && story.status("other") == "active");
}

#[test]
fn what_begins_and_is_over_at_once_asks_for_no_run() {
    let tasks = "
tasks:
  group:
    tasks: {a: {workflow: w}, b: {agent: worker, with: '${input.missing}'}}
    on_failure: continue
  other: {agent: worker}
";
    let story = Story::of(tasks, json!({}));
    assert_eq!((story.new_children(), story.cancelled_children()), (vec![], vec![]));
    assert_eq!(story.new_work(), ["other"]);
}

fn parent(wait: bool) -> Parent {
    let request = RequestId { source: "test".to_owned(), id: "outer".to_owned() };
    Parent {
        run: RunId::for_request("workflow.outer", &request, Shards::default()),
        workflow: "outer".to_owned(),
        task: task("each:4"),
        attempt: Attempt::FIRST.next(),
        depth: 3,
        wait,
        version: None,
        deadline: Some(begun() + TimeDelta::seconds(90)),
    }
}

const WORK: &str = "
output: '${tasks.t.output}'
timeout: 1h
tasks: {t: {agent: worker, retry: {max_attempts: 1, fatal_on: [hopeless]}}}
";

#[test]
fn a_run_tells_the_task_that_it_was_started_for() {
    let mut story = Story::of_child(WORK, json!({}), parent(true));
    assert_eq!(story.report(), None);
    let (key, result) = story.done("t", json!([1])).report().unwrap();
    assert_eq!((key.run, key.task, key.attempt), (parent(true).run, task("each:4"), Attempt::FIRST.next()));
    assert_eq!((key.capability.as_str(), result), ("story", Ok(json!([1]))));
    let is_report = |action: &Action| matches!(action, Action::Report(..));
    assert!(story.may_be_missing(is_report));
    story.push(Fact::Ended);
    assert!(!story.may_be_missing(is_report), "the end is stored behind it");
    let mut story = Story::of_child(WORK, json!({}), parent(false));
    assert_eq!(story.done("t", json!(1)).report(), None, "nobody waits for it");
}

#[test]
fn a_failure_is_worth_another_run_if_it_was_worth_another_attempt() {
    type Happens = fn(&mut Story) -> &mut Story;
    let cases: [(Happens, &str, bool, &str); 6] = [
        (|story| story.fails_for_now("t", "busy"), "busy", true, "failed: task 't' failed: no"),
        (|story| story.failed("t", "broken"), "broken", false, "failed: task 't' failed: no"),
        (|story| story.fails_for_now("t", "hopeless"), "hopeless", false, "failed: task 't' failed: no"),
        (
            |story| story.fired(Timer::Deadline),
            "timeout",
            true,
            "failed: the run did not end within the 1m 30s that the task had left for which it was started",
        ),
        (|story| story.push(cancel()), "child_cancelled", false, "was cancelled: enough"),
        (
            |story| story.push(Fact::Cancel(CancelSignal::default())),
            "child_cancelled",
            false,
            "was cancelled",
        ),
    ];
    for (happens, code, retryable, message) in cases {
        let mut story = Story::of_child(WORK, json!({}), parent(true));
        let (_, result) = happens(&mut story).report().unwrap();
        let error = result.unwrap_err();
        let expected = format!("run {} {message}", run_id());
        assert_eq!((error.code.as_str(), error.retryable, error.message), (code, retryable, expected));
    }
    let wrong = WORK.replace("tasks.t.output", "tasks.t.output.missing");
    let mut story = Story::of_child(&wrong, json!({}), parent(true));
    let (_, result) = story.done("t", json!({})).report().unwrap();
    let error = result.unwrap_err();
    assert_eq!((error.code.as_str(), error.retryable), ("expression", false));
}

#[test]
fn runs_stand_one_within_the_other() {
    let story = Story::of_child("tasks: {t: {workflow: story, timeout: 1h}}", json!({}), parent(true));
    let inner = story.child("t").parent;
    assert_eq!((inner.depth, inner.deadline), (4, parent(true).deadline), "never longer than what is around");
}

#[test]
fn what_is_started_finally_has_the_time_that_is_left_then() {
    let tasks = "
timeout: 1m
tasks: {t: {agent: worker}}
finally: {timeout: 2m, tasks: {tidy: {workflow: tidying}}}
";
    let mut story = Story::of(tasks, json!({}));
    story.fired(Timer::Deadline);
    let left = story.child("finally:tidy").parent.deadline;
    assert_eq!(left, Some(begun() + TimeDelta::seconds(1) + TimeDelta::minutes(2)), "not what the run had");
}
