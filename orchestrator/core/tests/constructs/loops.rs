use mesh_core::Fact;
use mesh_schemas::{Attempt, Timer};
use serde_json::{Value, json};

use crate::support::{Story, task};

fn each(keys: &str) -> String {
    format!(
        "output: '${{tasks.f.output}}'\ntasks:\n  f: {{foreach: {{in: '${{input.items}}', {keys}}}, agent: worker, with: \
         '${{item + index}}'}}\n"
    )
}

#[test]
fn each_item_has_its_work_and_its_place_in_the_result() {
    let mut story = Story::of(&each(""), json!({"items": [10, 20, 30]}));
    assert_eq!(story.new_work(), ["f:0", "f:1", "f:2"]);
    assert_eq!(story.created("f:2").1, json!(32));
    story.done("f:2", json!("c")).done("f:0", json!("a"));
    assert_eq!((story.status("f"), story.status("f:0"), story.status("f:1")), ("active", "done", "active"));
    assert!(story.is_stray("f:0", 2) && story.is_stray("f:3", 1) && !story.is_stray("f:0", 1));
    story.done("f:1", json!("b"));
    assert_eq!((story.output(), story.counts()), (json!(["a", "b", "c"]), [3, 0, 0, 0]));
}

#[test]
fn no_more_items_are_under_way_than_is_allowed() {
    let mut story = Story::of(&each("max_parallel: 2"), json!({"items": [1, 2, 3, 4]}));
    assert_eq!(story.new_work(), ["f:0", "f:1"]);
    assert!(story.is_stray("f:2", 1));
    assert_eq!(story.done("f:1", json!(1)).new_work(), ["f:2"]);
    assert_eq!(story.done("f:0", json!(0)).new_work(), ["f:3"]);
    story.done("f:3", json!(3)).done("f:2", json!(2));
    assert_eq!(story.output(), json!([0, 1, 2, 3]));
}

#[test]
fn an_object_keeps_its_keys_and_nothing_is_nothing() {
    let tasks = "
output: '${tasks.f.output}'
tasks: {f: {foreach: '${input}', agent: worker, with: '${key + \":\" + item}'}}
";
    let mut story = Story::of(tasks, json!({"b": "two", "a": "one"}));
    assert_eq!((story.created("f:0").1, story.created("f:1").1), (json!("a:one"), json!("b:two")));
    story.done("f:0", json!(1)).done("f:1", json!(2));
    assert_eq!(story.output(), json!({"a": 1, "b": 2}));
    assert_eq!(Story::of(&each(""), json!({"items": []})).output(), json!([]));
    assert_eq!(Story::of(tasks, json!({})).output(), json!({}));
}

#[test]
fn failures_are_tolerated_up_to_a_number_or_a_share() {
    let items = json!({"items": [1, 2, 3, 4]});
    let mut story = Story::of(&each("tolerate: 25%"), items.clone());
    story.failed("f:1", "bad").done("f:0", json!(0)).done("f:2", json!(2)).done("f:3", json!(3));
    assert_eq!(story.output(), json!([0, {"error": {"code": "bad", "message": "no"}}, 2, 3]));
    assert_eq!(story.counts(), [3, 1, 0, 0]);

    let mut story = Story::of(&each("tolerate: 1, max_parallel: 2"), items.clone());
    story.failed("f:1", "bad").failed("f:2", "worse");
    assert_eq!(story.given_up(), ["f:0 overtaken"]);
    let (code, failed, message) = story.failure();
    assert_eq!((code.as_str(), failed.as_str()), ("too_many_failures", "f"));
    assert_eq!(message, "task 'f' failed: 2 of 4 items failed, and 1 may; the last was 'f:2': no",);
    assert_eq!(story.counts(), [0, 2, 0, 2]);

    let mut story = Story::of(&each(""), items);
    let (code, failed, _) = story.failed("f:3", "bad").failure();
    assert_eq!(
        (code.as_str(), failed.as_str()),
        ("bad", "f:3"),
        "with none to tolerate, it is the item's own"
    );
}

#[test]
fn what_is_no_list_or_too_long_a_one_fails() {
    let (code, failed, message) = Story::of(&each(""), json!({"items": "text"})).failure();
    assert_eq!((code.as_str(), failed.as_str()), ("expression", "f"));
    assert!(message.ends_with("foreach.in: expected a list or an object, found text"), "{message}");
    let (code, _, message) = Story::of(&each("max_items: 2"), json!({"items": [1, 2, 3]})).failure();
    assert_eq!(code, "too_many_items");
    assert!(message.ends_with("there are 3 items, and at most 2 are allowed"), "{message}");
}

#[test]
fn items_may_be_groups_and_may_be_tried_again() {
    let tasks = "
output: '${tasks.f.output}'
tasks:
  f:
    foreach: '${input}'
    output: '${tasks.b.output}'
    tasks:
      a: {agent: worker, retry: {initial: 5s, jitter: 0}}
      b: {agent: worker, needs: [a], with: '${[item, tasks.a.output]}'}
";
    let mut story = Story::of(tasks, json!(["x", "y"]));
    assert_eq!(
        (story.new_work(), story.created("f:1:a").1),
        (vec!["f:0:a".into(), "f:1:a".into()], json!("y"))
    );
    let (key, _) = story.created("f:1:a");
    let error = mesh_schemas::payload::TaskError {
        code: "busy".into(),
        message: "later".into(),
        retryable: true,
        retry_after: None,
    };
    story.push(mesh_core::Fact::Failed(key, error));
    assert_eq!(story.status("f:1:a"), "retrying");
    story.fired(Timer::Retry { task: task("f:1:a"), after: Attempt::FIRST });
    assert_eq!(story.done("f:1:a", json!(1)).new_work(), ["f:1:b"]);
    assert_eq!(story.created("f:1:b").1, json!(["y", 1]));
    story.done("f:1:b", json!("y!"));
    story.done("f:0:a", json!(0)).done("f:0:b", json!("x!"));
    assert_eq!(story.output(), json!(["x!", "y!"]));
}

#[test]
fn ten_thousand_items_go_through() {
    let items: Vec<Value> = (0..10_000).map(Value::from).collect();
    let tasks = "
output: '${size(tasks.f.output)}'
tasks: {f: {foreach: {in: '${input}', max_parallel: 1}, agent: worker, when: 'true'}}
";
    // Skipped ones end at once: nothing is nested deeper for it.
    let skipping = "
output: '${size(tasks.f.output)}'
tasks: {f: {foreach: '${input}', switch: [{when: item < 0, agent: worker}]}}
";
    assert_eq!(Story::of(skipping, json!(items)).counts(), [0, 0, 10_000, 0]);
    let story = Story::of(tasks, json!(items));
    assert_eq!(story.new_work(), ["f:0"]);
}

fn revise(on_max: &str) -> String {
    format!(
        "output: {{last: '${{tasks.draft.output}}', all: '${{tasks.draft.iterations}}'}}\ntasks:\n  draft:\n    repeat: {{until: \
         result.ok, max: 3{on_max}}}\n    agent: worker\n    with: {{n: '${{iteration}}', before: '${{previous}}'}}\n"
    )
}

#[test]
fn iterations_follow_each_other_until_the_condition_holds() {
    let mut story = Story::of(&revise(""), json!({}));
    assert_eq!(
        (story.new_work(), story.created("draft:1").1),
        (vec!["draft:1".into()], json!({"n": 1, "before": null}))
    );
    assert_eq!(story.done("draft:1", json!({"ok": false})).new_work(), ["draft:2"]);
    assert_eq!(story.created("draft:2").1, json!({"n": 2, "before": {"ok": false}}));
    assert!(!story.is_stray("draft:1", 1) && story.is_stray("draft:3", 1) && story.is_stray("draft:0", 1));
    story.done("draft:2", json!({"ok": true}));
    assert_eq!(story.output(), json!({"last": {"ok": true}, "all": [{"ok": false}, {"ok": true}]}));
    assert_eq!(story.counts(), [2, 0, 0, 0]);
}

#[test]
fn a_loop_ends_after_its_last_iteration() {
    let no = json!({"ok": false});
    let thrice = |on_max: &str| {
        let mut story = Story::of(&revise(on_max), json!({}));
        story.done("draft:1", no.clone()).done("draft:2", no.clone()).done("draft:3", no.clone());
        story
    };
    let (code, failed, _) = thrice("").failure();
    assert_eq!((code.as_str(), failed.as_str()), ("repeat_exhausted", "draft"));
    assert_eq!(thrice(", on_max: continue").output()["last"], no);
    let mut story = Story::of(&revise(""), json!({}));
    let (code, _, message) = story.done("draft:1", json!(1)).failure();
    assert!(code == "expression" && message.contains("tasks.draft.repeat.until: "), "{message}");
}

fn adaptive(rule: &str) -> String {
    let each = format!("{{in: '${{input.items}}', adaptive: {rule}}}");
    format!("output: '${{tasks.fan.output}}'\ntasks:\n  fan: {{foreach: {each}, agent: worker}}\n")
}

#[test]
fn how_many_items_are_under_way_is_chosen_and_stored_first() {
    let rule = "{complexity: '${input.complexity}', dependency: 0.2}";
    let mut story = Story::of(&adaptive(rule), json!({"items": [1, 2, 3, 4], "complexity": 0.9}));
    let route = story.route("fan");
    assert_eq!((route.complexity, route.dependency, route.most), (0.9, 0.2, 5));
    assert_eq!(route.capabilities.iter().map(ToString::to_string).collect::<Vec<_>>(), ["worker"]);
    assert_eq!(story.push(Fact::Routed(task("fan"), 2)).new_work(), ["fan:0", "fan:1"]);
    // The first choice counts.
    assert_eq!(story.push(Fact::Routed(task("fan"), 4)).new_work(), Vec::<String>::new());
    assert_eq!(story.done("fan:0", json!(1)).new_work(), ["fan:2"]);
    story.done("fan:1", json!(2)).done("fan:2", json!(3)).done("fan:3", json!(4));
    assert_eq!(story.output(), json!([1, 2, 3, 4]));
}

#[test]
fn scores_are_numbers_from_0_to_1_and_no_items_need_none() {
    let rule = "{complexity: '${input.complexity}'}";
    let (code, failed, message) =
        Story::of(&adaptive(rule), json!({"items": [1], "complexity": "high"})).failure();
    assert_eq!((code.as_str(), failed.as_str()), ("expression", "fan"));
    assert!(message.ends_with("foreach.adaptive.complexity: expected a number from 0 to 1, found \"high\""));
    assert_eq!(Story::of(&adaptive(rule), json!({"items": [], "complexity": 2})).output(), json!([]));
}
