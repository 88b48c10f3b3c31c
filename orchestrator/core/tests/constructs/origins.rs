//! What an attempt has waited for: the tasks that led to it, for whoever looks at a trace.

use serde_json::json;

use crate::support::Story;

#[test]
fn the_first_attempt_waited_for_what_its_task_needs_and_another_for_the_one_before() {
    let tasks = "
tasks:
  a: {agent: worker}
  b: {agent: worker, when: 'false', needs: [a]}
  c: {agent: worker}
  d: {agent: worker, needs: [b, c], join: any, on_failure: continue}
";
    let mut story = Story::of(tasks, json!({}));
    assert_eq!(story.origins("a"), [] as [&str; 0]);
    story.done("a", json!(1)).done("c", json!(1));
    assert_eq!(story.origins("d"), ["a.1", "c.1"], "what is skipped stands for what it needs");
    story.fails_for_now("d", "busy");
    let retry = story.timers().pop().unwrap();
    story.fired(retry);
    assert_eq!(story.origins("d"), ["d.1"]);
}

#[test]
fn what_is_within_a_group_a_switch_or_a_loop_waited_for_what_that_needs() {
    let tasks = "
tasks:
  a: {agent: worker}
  group: {needs: [a], tasks: {x: {agent: worker}, y: {agent: worker, needs: [x]}}}
  choice: {needs: [a], switch: [{agent: worker}]}
  each: {needs: [a], foreach: {in: [1, 2]}, agent: worker}
  again: {needs: [a], repeat: {until: iteration == 2, max: 2}, agent: worker}
";
    let mut story = Story::of(tasks, json!({}));
    story.done("a", json!(1));
    for task in ["group:x", "choice:0", "each:0", "each:1", "again:1"] {
        assert_eq!(story.origins(task), ["a.1"], "{task}");
    }
    story.done("group:x", json!(1));
    assert_eq!(story.origins("group:y"), ["group:x.1"]);
}

#[test]
fn what_waits_for_a_merge_waited_for_what_is_merged() {
    let tasks = "
tasks:
  a: {agent: worker}
  b: {agent: worker}
  m: {needs: [a, b], merge: collect}
  last: {agent: worker, needs: [m]}
";
    let mut story = Story::of(tasks, json!({}));
    story.done("b", json!(1)).done("a", json!(1));
    assert_eq!(story.origins("last"), ["a.1", "b.1"]);
}

#[test]
fn what_is_done_finally_waited_for_each_other() {
    let tasks = "
tasks: {a: {agent: worker}}
finally: {tasks: {tell: {agent: worker}, tidy: {agent: worker, needs: [tell]}}}
";
    let mut story = Story::of(tasks, json!({}));
    story.done("a", json!(1)).done("finally:tell", json!(1));
    assert_eq!(story.origins("finally:tidy"), ["finally:tell.1"]);
}

#[test]
fn the_last_item_of_a_loop_gathers_the_others() {
    let tasks = "
tasks:
  f: {foreach: {in: [1, 2, 3]}, agent: worker}
  after: {agent: worker, needs: [f]}
";
    let mut story = Story::of(tasks, json!({}));
    assert_eq!(story.done("f:2", json!(1)).gathered(), [] as [&str; 0]);
    assert_eq!(story.done("f:0", json!(1)).gathered(), [] as [&str; 0]);
    assert_eq!(story.done("f:1", json!(1)).gathered(), ["f:0.1", "f:2.1"]);
    assert_eq!(story.new_work(), ["after"]);
}
