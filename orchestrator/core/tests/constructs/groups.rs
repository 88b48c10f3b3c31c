use serde_json::json;

use crate::support::Story;

const REVIEW: &str = "
output: ${tasks.review.output}
tasks:
  fetch: {agent: worker}
  review:
    needs: [fetch]
    output: {lint: '${tasks.lint.output}', source: '${tasks.fetch.output}'}
    tasks:
      lint: {agent: worker, with: '${tasks.fetch.output}'}
      logic: {agent: worker, needs: [lint], when: tasks.lint.output > 1}
";

#[test]
fn a_group_stands_for_its_tasks() {
    let mut story = Story::of(REVIEW, json!({}));
    assert_eq!(story.new_work(), ["fetch"]);
    assert_eq!(story.done("fetch", json!("main.rs")).new_work(), ["review:lint"]);
    assert_eq!(story.created("review:lint").1, json!("main.rs"));
    assert_eq!((story.status("review"), story.status("review:logic")), ("active", "pending"));
    assert_eq!(story.done("review:lint", json!(2)).new_work(), ["review:logic"]);
    story.done("review:logic", json!(null));
    assert_eq!(story.output(), json!({"lint": 2, "source": "main.rs"}));
    assert_eq!(story.counts(), [3, 0, 0, 0]);
}

#[test]
fn a_group_may_be_over_at_once() {
    let mut story = Story::of(REVIEW, json!({}));
    story.done("fetch", json!(1)).done("review:lint", json!(1));
    assert_eq!((story.output(), story.counts()), (json!({"lint": 1, "source": 1}), [2, 0, 1, 0]));
    let skipped = "
output: '${tasks.after.output}'
tasks:
  g: {tasks: {a: {agent: worker, when: 'false'}}, output: '${tasks.a.status}'}
  after: {agent: worker, needs: [g], with: '${tasks.g.output}'}
";
    let story = Story::of(skipped, json!({}));
    assert_eq!((story.new_work(), story.created("after").1), (vec!["after".to_owned()], json!("skipped")));
}

#[test]
fn without_an_output_a_group_gives_what_its_last_tasks_gave() {
    let tasks = "
output: '${tasks.g.output}'
tasks:
  g: {tasks: {a: {agent: worker}, b: {agent: worker, needs: [a]}, c: {agent: worker}}}
";
    let mut story = Story::of(tasks, json!({}));
    story.done("g:a", json!(1)).done("g:b", json!(2)).done("g:c", json!(3));
    assert_eq!(story.output(), json!({"b": 2, "c": 3}));
}

#[test]
fn a_group_fails_with_its_task_and_gives_the_others_up() {
    let tasks = "
output: {of: '${tasks.g.output}', why: '${tasks.g.error.code}', how: '${tasks.g.status}'}
tasks:
  g:
    on_failure: continue
    tasks: {a: {agent: worker}, b: {agent: worker}, c: {agent: worker, needs: [a]}}
  other: {agent: worker}
";
    let mut story = Story::of(tasks, json!({}));
    story.failed("g:a", "broken");
    assert_eq!(story.given_up(), ["g:b overtaken"]);
    assert!(story.is_open(), "the other task goes on");
    assert!(!story.is_stray("g:b", 1), "what comes for a part of it is only late");
    story.done("other", json!(1));
    assert_eq!(story.output(), json!({"of": null, "why": "broken", "how": "failed"}));
    assert_eq!(story.counts(), [1, 1, 0, 2]);
}

#[test]
fn a_group_that_fails_the_run_is_told_by_the_task_that_failed() {
    let tasks = "
tasks:
  outer: {tasks: {inner: {tasks: {a: {agent: worker}, b: {agent: worker}}}}}
";
    let mut story = Story::of(tasks, json!({}));
    story.failed("outer:inner:a", "broken");
    let (code, task, message) = story.failure();
    assert_eq!((code.as_str(), task.as_str()), ("broken", "outer:inner:a"));
    assert_eq!(message, "task 'outer:inner:a' failed: no");
    let unborn = "
tasks:
  g: {tasks: {a: {agent: worker}, b: {agent: worker, with: '${input.missing}'}}}
";
    let story = Story::of(unborn, json!({}));
    assert_eq!(story.new_work(), Vec::<String>::new(), "what would belong to nothing is not created");
    assert_eq!(story.given_up(), ["g:b expression"]);
}

const ROUTE: &str = "
output: {route: '${tasks.route.output}', how: '${tasks.route.status}'}
tasks:
  route:
    switch:
      - {when: input.level == 'high', agent: worker, with: {to: senior}}
      - {when: input.level == 'low', tasks: {a: {agent: worker}, b: {agent: worker, needs: [a]}}}
      - {when: has(input.other), agent: worker, output: '${result + 1}'}
";

#[test]
fn the_first_case_that_holds_is_done() {
    let mut story = Story::of(ROUTE, json!({"level": "high", "other": 1}));
    assert_eq!(story.new_work(), ["route:0"]);
    assert!(story.is_stray("route:2", 1) && story.is_stray("route:1:a", 1));
    story.done("route:0", json!("x"));
    assert_eq!(story.output(), json!({"route": "x", "how": "done"}));

    let mut story = Story::of(ROUTE, json!({"level": "low"}));
    assert_eq!(story.new_work(), ["route:1:a"]);
    assert_eq!(story.done("route:1:a", json!(1)).new_work(), ["route:1:b"]);
    story.done("route:1:b", json!(2));
    assert_eq!((story.output(), story.counts()), (json!({"route": {"b": 2}, "how": "done"}), [2, 0, 0, 0]));

    let mut story = Story::of(ROUTE, json!({"level": "", "other": 1}));
    story.done("route:2", json!(1));
    assert_eq!(story.output()["route"], json!(2));
}

#[test]
fn where_no_case_holds_the_task_is_skipped() {
    let story = Story::of(ROUTE, json!({"level": "none"}));
    assert_eq!((story.output(), story.counts()), (json!({"route": null, "how": "skipped"}), [0, 0, 1, 0]));
    let story = Story::of(ROUTE, json!({}));
    assert_eq!(story.failure().1, "route");
    assert!(story.failure().2.contains("tasks.route.switch[0].when: "), "{}", story.failure().2);
}

#[test]
fn work_that_is_the_case_of_a_switch_counts() {
    let mut story = Story::of(ROUTE, json!({"level": "high"}));
    assert_eq!(story.done("route:0", json!("x")).counts(), [1, 0, 0, 0]);
    let cases = "{switch: [{when: 'false', agent: worker}, {switch: [{agent: worker}]}]";
    let tasks = format!(
        "tasks:\n  each: {cases}, foreach: {{in: [1, 2]}}}}\n  again: {cases}, repeat: {{until: iteration == 2, max: 2}}}}\n"
    );
    let mut story = Story::of(&tasks, json!({}));
    story.done("each:0:1:0", json!(1)).done("each:1:1:0", json!(1));
    story.done("again:1:1:0", json!(1)).done("again:2:1:0", json!(1));
    assert_eq!(story.counts(), [4, 0, 0, 0]);
}
