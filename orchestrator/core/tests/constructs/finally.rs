use mesh_core::{Action, Fact};
use mesh_schemas::Timer;
use mesh_schemas::payload::CancelSignal;
use serde_json::json;

use crate::support::{Story, task};

const TELL: &str = "output: '${tasks.a.output}'\ntasks:\n  a: {agent: worker}\n  b: {agent: worker, needs: [a]}\nfinally:\n  timeout: \
                    30s\n  tasks:\n    tell: {agent: worker, with: ['${run.outcome.status}', '${run.outcome.error}', \
                    '${tasks.a.output}']}\n    tidy: {agent: worker, needs: [tell], with: tidy}\n";

#[test]
fn what_is_done_finally_is_done_however_a_run_ends() {
    let mut story = Story::of(TELL, json!({}));
    assert_eq!(story.status("finally:tell"), "pending");
    story.done("a", json!(1)).done("b", json!(2));
    assert_eq!((story.is_open(), story.new_work()), (true, vec!["finally:tell".to_owned()]));
    assert_eq!(story.created("finally:tell").1, json!(["completed", null, 1]));
    assert!(story.timers().contains(&Timer::Finally));
    story.done("finally:tell", json!(null)).done("finally:tidy", json!(null));
    assert_eq!((story.output(), story.counts()), (json!(1), [4, 0, 0, 0]));

    let mut story = Story::of(TELL, json!({}));
    story.failed("a", "broken");
    let error = json!({"code": "broken", "message": "task 'a' failed: no"});
    assert_eq!(story.created("finally:tell").1, json!(["failed", error, null]));
    assert_eq!((story.status("a"), story.status("b")), ("failed", "cancelled"));
    story.done("finally:tell", json!(null)).failed("finally:tidy", "worse");
    assert_eq!(story.failure().0, "broken", "the first failure counts");

    let mut story = Story::of(TELL, json!({}));
    story.push(Fact::Cancel(CancelSignal { reason: Some("enough".to_owned()) }));
    assert_eq!(story.given_up(), ["a run_ended"]);
    let error = json!({"code": "cancelled", "message": "enough"});
    assert_eq!(story.created("finally:tell").1, json!(["cancelled", error, null]));
    story.done("finally:tell", json!(null)).done("finally:tidy", json!(null));
    assert!(story.led_to(|action| matches!(action, Action::End(mesh_core::End::Cancelled(_)))));
}

#[test]
fn a_run_that_would_have_completed_fails_with_what_is_done_finally() {
    let mut story = Story::of(TELL, json!({}));
    story.done("a", json!(1)).done("b", json!(2)).failed("finally:tell", "deaf");
    let (code, failed, _) = story.failure();
    assert_eq!((code.as_str(), failed.as_str()), ("deaf", "finally:tell"));
    assert_eq!(story.status("finally:tidy"), "cancelled");
}

#[test]
fn what_is_done_finally_has_a_time_of_its_own() {
    let mut story = Story::of(TELL, json!({}));
    story.fired(Timer::Deadline);
    assert_eq!(story.new_work(), ["finally:tell"]);
    story.fired(Timer::Finally);
    assert_eq!(
        (story.failure().0.as_str(), story.given_up()),
        ("timeout", vec!["finally:tell run_ended".to_owned()])
    );

    let mut story = Story::of(TELL, json!({}));
    story.done("a", json!(1)).done("b", json!(2)).fired(Timer::Deadline);
    assert!(story.is_open(), "the time of the run plays no part any more");
    story.fired(Timer::Finally);
    assert_eq!(story.failure().0, "timeout");
}

#[test]
fn whoever_cancels_twice_has_it_end_at_once() {
    let mut story = Story::of(TELL, json!({}));
    story.push(Fact::Cancel(CancelSignal::default())).push(Fact::Cancel(CancelSignal::default()));
    assert_eq!((story.is_open(), story.given_up()), (false, vec!["finally:tell run_ended".to_owned()]));
}

#[test]
fn what_is_done_finally_is_tried_again_and_late_results_are_known() {
    let mut story = Story::of(TELL, json!({}));
    story.done("a", json!(1)).done("b", json!(2)).fails_for_now("finally:tell", "busy");
    let (key, _) = story.created("finally:tell");
    assert_eq!(
        story.fired(Timer::Retry { task: task("finally:tell"), after: key.attempt }).new_work(),
        ["finally:tell"]
    );
    assert!(!story.is_stray("finally:tell", 2) && story.is_stray("finally:tidy", 1));
}

#[test]
fn what_is_done_finally_sees_the_tasks_of_a_run_that_has_groups() {
    let mut story = Story::of(
        "tasks:\n  a: {agent: worker}\n  g: {needs: [a], tasks: {p: {agent: worker}}}\nfinally:\n  tasks:\n    tell: {agent: \
         worker, with: ['${tasks.a.output}', '${tasks.g.output}']}\n",
        json!({}),
    );
    story.done("a", json!(1)).done("g:p", json!(2));
    assert_eq!(story.created("finally:tell").1, json!([1, {"p": 2}]));
}

#[test]
fn what_is_done_finally_sees_the_task_that_the_run_failed_with() {
    let tell = "finally:\n  tasks:\n    tell: {agent: worker, with: ['${tasks.a.status}', '${tasks.a.error}', \
                '${tasks.b.status}']}\n";
    let mut story =
        Story::of(&format!("tasks:\n  a: {{agent: worker}}\n  b: {{agent: worker}}\n{tell}"), json!({}));
    story.failed("a", "broken");
    let error = json!({"code": "broken", "message": "no"});
    assert_eq!(story.created("finally:tell").1, json!(["failed", error, null]));

    let skipped =
        "tasks:\n  a: {agent: worker, on_failure: {task: b}}\n  b: {agent: worker, when: 'false'}\n";
    let mut story = Story::of(&format!("{skipped}{tell}"), json!({}));
    story.failed("a", "broken");
    assert_eq!(story.created("finally:tell").1, json!(["failed", error, "skipped"]));
}
