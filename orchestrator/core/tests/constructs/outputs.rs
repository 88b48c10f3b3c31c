use serde_json::json;

use crate::support::Story;

const SCORE: &str = "
tasks:
  check: {agent: worker, output_schema: {type: object, required: [score], properties: {score: {type: number}}}}
";

#[test]
fn what_does_not_follow_its_schema_fails_the_task_for_good() {
    let mut story = Story::of(SCORE, json!({}));
    story.done("check", json!({"score": "high"}));
    let (code, task, message) = story.failure();
    assert_eq!((code.as_str(), task.as_str()), ("invalid_output", "check"));
    let expected = "task 'check' failed: the output does not follow tasks.check.output_schema: .score: expected a number, \
                    found \"high\"";
    assert_eq!(message, expected);
    assert_eq!(story.counts(), [0, 1, 0, 0]);
    let mut story = Story::of(SCORE, json!({}));
    story.done("check", json!({"score": 1}));
    assert_eq!(story.output(), json!({"check": {"score": 1}}));
}

#[test]
fn it_is_what_the_agent_returned_that_is_checked() {
    let tasks = "
tasks:
  a: {agent: worker, output_schema: {type: integer}, output: 'number ${result}'}
";
    let mut story = Story::of(tasks, json!({}));
    story.done("a", json!(3));
    assert_eq!(story.output(), json!({"a": "number 3"}));
}

#[test]
fn others_may_make_up_for_it() {
    let tasks = "
output: {a: '${tasks.a.output}', b: '${tasks.b.output}', why: '${tasks.b.error.code}'}
tasks:
  a: {agent: worker, output_schema: {const: 1}, on_failure: {task: other}}
  other: {agent: worker}
  b: {agent: worker, output_schema: {const: 1}, on_failure: continue}
";
    let mut story = Story::of(tasks, json!({}));
    assert_eq!(story.done("a", json!(2)).new_work(), ["other"]);
    story.done("other", json!("instead")).done("b", json!(2));
    assert_eq!(story.output(), json!({"a": "instead", "b": null, "why": "invalid_output"}));
}

#[test]
fn items_are_checked_one_by_one() {
    let tasks = "
tasks:
  each: {agent: worker, output_schema: {type: integer}, foreach: {in: [1, 2], tolerate: 1}}
";
    let mut story = Story::of(tasks, json!({}));
    story.done("each:0", json!("x")).done("each:1", json!(2));
    let output = story.output();
    assert_eq!(output["each"][0]["error"]["code"], "invalid_output");
    assert_eq!(output["each"][1], 2);
}

#[test]
fn groups_and_workflows_have_schemas_too() {
    let tasks = "
output: '${tasks.g.output}'
output_schema: {maximum: 9}
tasks:
  g:
    output: '${tasks.a.output}'
    output_schema: {type: integer}
    tasks: {a: {agent: worker}}
";
    let mut story = Story::of(tasks, json!({}));
    story.done("g:a", json!(9));
    assert_eq!(story.output(), json!(9));
    let mut story = Story::of(tasks, json!({}));
    story.done("g:a", json!("x"));
    let (code, task, message) = story.failure();
    assert_eq!((code.as_str(), task.as_str()), ("invalid_output", "g"));
    assert!(message.contains("output_schema: expected a whole number, found \"x\""), "{message}");
    let mut story = Story::of(tasks, json!({}));
    story.done("g:a", json!(10));
    let (code, task, message) = story.failure();
    assert_eq!((code.as_str(), task.as_str()), ("invalid_output", ""));
    assert_eq!(message, "the output does not follow output_schema: expected at most 9, found 10");
}

#[test]
fn what_may_be_missing_is_left_out_of_what_agents_are_given() {
    let tasks = "
output: {note: '${tasks.a.output.?note}', size: '${tasks.a.output.?size.orValue(1)}'}
tasks:
  a: {agent: worker, with: {note: '${input.?note}', size: '${input.?limits.?size.orValue(5)}'}}
  b: {agent: worker, when: input.?more.orValue(false)}
";
    let mut story = Story::of(tasks, json!({}));
    assert_eq!(story.new_work(), ["a"]);
    assert_eq!(story.created("a").1, json!({"size": 5}));
    story.done("a", json!({}));
    assert_eq!(story.output(), json!({"size": 1}));
    let story = Story::of(tasks, json!({"note": "n", "limits": {"size": 7}, "more": true}));
    assert_eq!(story.new_work(), ["a", "b"]);
    assert_eq!(story.created("a").1, json!({"note": "n", "size": 7}));
}

#[test]
fn what_is_missing_names_step_and_path() {
    let story = Story::of("tasks: {a: {agent: worker, with: {note: '${input.note}'}}}", json!({}));
    let (code, task, message) = story.failure();
    assert_eq!((code.as_str(), task.as_str()), ("expression", "a"));
    let expected = "task 'a' failed: tasks.a.with: no such key 'note' in input (write input.?note if it may be missing) at \
                    .note in ${input.note}";
    assert_eq!(message, expected);
    assert!(!story.is_open());
}
