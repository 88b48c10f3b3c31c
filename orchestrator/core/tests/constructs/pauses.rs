use mesh_core::{Action, Fact};
use mesh_schemas::Timer;
use mesh_schemas::payload::{CancelSignal, RetrySignal};
use serde_json::json;

use crate::support::{Story, task};

const CHAIN: &str = "output: '${tasks.b.output}'\ntasks:\n  a: {agent: worker, with: 1}\n  b: {agent: worker, needs: [a], with: \
                     '${tasks.a.output}'}\n";

fn pause() -> Fact {
    Fact::Pause(CancelSignal { reason: Some("lunch".to_owned()) })
}

#[test]
fn a_paused_run_begins_nothing_new() {
    let mut story = Story::of(CHAIN, json!({}));
    story.push(pause());
    assert!(story.is_paused());
    assert!(story.led_to(
        |action| matches!(action, Action::Pause(1, data) if data.reason.as_deref() == Some("lunch"))
    ));
    assert_eq!(story.done("a", json!(5)).new_work(), Vec::<String>::new());
    assert_eq!((story.status("a"), story.status("b")), ("done", "held"));
    assert!(!story.push(pause()).led_to(|_| true), "it is paused already");
    story.push(Fact::Resume);
    assert!(story.led_to(|action| matches!(action, Action::Resume(1))));
    assert_eq!((story.new_work(), story.created("b").1), (vec!["b".to_owned()], json!(5)));
    assert!(!story.push(Fact::Resume).led_to(|_| true), "it goes on already");
    story.done("b", json!(6));
    assert_eq!(story.output(), json!(6));
}

#[test]
fn a_paused_run_starts_no_other_runs() {
    let text = "tasks:\n  a: {agent: worker}\n  b: {needs: [a], workflow: other}\n";
    let mut story = Story::of(text, json!({}));
    story.push(pause()).done("a", json!(5));
    assert!(!story.led_to(|action| matches!(action, Action::StartChild(..))));
    assert_eq!(story.status("b"), "held");
    story.push(Fact::Resume);
    assert!(story.led_to(|action| matches!(action, Action::StartChild(key, _) if key.task == task("b"))));
}

#[test]
fn what_is_kept_back_ends_with_its_run() {
    let mut story = Story::of(CHAIN, json!({}));
    story.push(pause()).done("a", json!(5)).push(Fact::Cancel(CancelSignal::default()));
    assert_eq!(story.given_up(), Vec::<String>::new(), "nobody was ever asked to do it");
    assert!(!story.is_open() && !story.is_paused());
}

#[test]
fn a_run_stands_before_a_task_until_it_is_resumed() {
    let text = "tasks:\n  a: {agent: worker}\n  b: {needs: [a], pause_before: true, foreach: {in: [1, 2]}, agent: worker}\n";
    let mut story = Story::of(text, json!({}));
    story.done("a", json!(1));
    assert!(story.led_to(|action| matches!(action, Action::Pause(1, data) if data.task == Some(task("b")))));
    assert_eq!((story.new_work(), story.status("b:1")), (Vec::<String>::new(), "held"));
    assert_eq!(story.push(Fact::Resume).new_work(), ["b:0", "b:1"]);
}

#[test]
fn a_run_stands_before_the_tasks_that_its_request_names() {
    let mut story = Story::paused_before(CHAIN, &["b"]);
    assert_eq!(story.new_work(), ["a"]);
    story.done("a", json!(5));
    assert!(story.led_to(|action| matches!(action, Action::Pause(1, data) if data.task == Some(task("b")))));
    assert_eq!(story.push(Fact::Resume).new_work(), ["b"]);
}

#[test]
fn a_failure_pauses_the_run_and_the_task_is_tried_again_with_another_input() {
    let text = format!("recovery: pause\n{CHAIN}");
    let mut story = Story::of(&text, json!({}));
    story.done("a", json!(5)).failed("b", "broken");
    assert!(story.is_open() && story.is_paused());
    assert_eq!(story.status("b"), "failed");
    let reason = "task 'b' failed: no (broken)";
    assert!(
        story.led_to(
            |action| matches!(action, Action::Pause(1, data) if data.reason.as_deref() == Some(reason))
        )
    );
    story.push(Fact::Retry(RetrySignal { task: Some(task("b")), input: Some(json!("mended")) }));
    assert_eq!((story.new_work(), story.created("b").1), (vec!["b".to_owned()], json!("mended")));
    assert!(!story.is_paused());
    story.failed("b", "broken").push(Fact::Retry(RetrySignal::default()));
    assert_eq!(story.created("b").1, json!("mended"), "the input stays");
    story.done("b", json!("good"));
    assert_eq!((story.output(), story.counts()), (json!("good"), [2, 0, 0, 0]));
}

#[test]
fn a_run_goes_on_when_nothing_is_left_that_failed() {
    let text = "recovery: pause\ntasks:\n  a: {agent: worker}\n  b: {agent: worker}\n  c: {needs: [a], agent: worker}\n";
    let mut story = Story::of(text, json!({}));
    story.failed("a", "x").failed("b", "x");
    story.push(Fact::Retry(RetrySignal { task: Some(task("a")), input: None }));
    assert_eq!(story.new_work(), ["a"]);
    story.done("a", json!(1));
    assert!(story.is_paused() && story.status("c") == "held");
    assert_eq!(story.push(Fact::Resume).new_work(), ["c", "b"]);
    assert!(!story.is_paused());
}

#[test]
fn only_what_nothing_makes_up_for_is_recovered() {
    let text = "recovery: pause\ntasks:\n  a: {agent: worker, on_failure: continue}\n  b: {foreach: {in: [1], tolerate: 1}, \
                agent: worker}\n  c: {on_failure: {task: d}, tasks: {e: {agent: worker}}}\n  d: {agent: worker}\n";
    let mut story = Story::of(text, json!({}));
    story.failed("a", "x").failed("b:0", "x").failed("c:e", "x");
    assert!(!story.is_paused());
    story.failed("d", "x");
    assert!(story.is_paused() && story.is_open());
    story.push(Fact::Cancel(CancelSignal::default()));
    assert!(!story.is_open());
}

#[test]
fn a_workflow_goes_on_without_what_failed() {
    let text = "recovery: continue\noutput: ['${tasks.a.output}', '${tasks.b.output}']\ntasks:\n  a: {agent: worker}\n  b: {agent: \
                worker}\n";
    let mut story = Story::of(text, json!({}));
    story.failed("a", "x").done("b", json!(2));
    assert_eq!((story.output(), story.counts()), (json!([null, 2]), [1, 1, 0, 0]));
}

#[test]
fn a_workflow_has_more_tries_than_its_tasks() {
    let text = "recovery: {retry: 1}\ntasks:\n  a: {agent: worker, retry: {max_attempts: 1, max: 7s}}\n";
    let mut story = Story::of(text, json!({}));
    story.failed("a", "x");
    let (key, _) = story.created("a");
    assert_eq!(story.fired(Timer::Retry { task: task("a"), after: key.attempt }).new_work(), ["a"]);
    story.failed("a", "y");
    assert_eq!(story.failure().0, "y");
}

#[test]
fn what_a_join_has_gone_on_without_is_not_recovered() {
    for recovery in ["pause", "{retry: 2}"] {
        let text = format!(
            "
recovery: {recovery}
tasks:
  a: {{agent: worker}}
  b: {{agent: worker}}
  group: {{tasks: {{c: {{agent: worker}}}}}}
  d: {{needs: [a, b, group], join: any, agent: worker}}
"
        );
        let mut story = Story::of(&text, json!({}));
        story.done("a", json!(1));
        story.failed("b", "broken");
        assert!(!story.led_to(|_| true), "nothing follows");
        story.failed("group:c", "broken");
        assert!(!story.led_to(|_| true) && !story.is_paused(), "nor in a group");
        story.done("d", json!(2));
        assert!(!story.is_open());
    }
}
