use mesh_schemas::Timer;
use serde_json::json;

use crate::support::{Story, task};

fn quorum(join: &str) -> String {
    format!(
        "output: '${{tasks.merge.output}}'\ntasks:\n  a: {{agent: worker, on_failure: continue}}\n  b: {{agent: worker, on_failure: \
         continue}}\n  c: {{agent: worker, on_failure: continue}}\n  d: {{agent: worker, on_failure: continue}}\n  merge: {{agent: \
         worker, needs: [a, b, c, d], join: {join}, with: ['${{tasks.a.output}}', '${{tasks.d.output}}', \
         '${{tasks.d.status}}']}}\n"
    )
}

#[test]
fn any_is_the_first_that_goes_well() {
    let mut story = Story::of(&quorum("any"), json!({}));
    assert_eq!(story.failed("b", "x").new_work(), Vec::<String>::new());
    assert_eq!(story.done("a", json!(1)).new_work(), ["merge"]);
    assert_eq!(story.created("merge").1, json!([1, null, null]));
    // A late result is recorded, and changes nothing.
    assert_eq!(story.done("d", json!(4)).new_work(), Vec::<String>::new());
    assert_eq!(story.status("d"), "done");
    story.done("merge", json!("m"));
    assert_eq!((story.output(), story.given_up()), (json!("m"), vec!["c run_ended".to_owned()]));
    assert_eq!(story.counts(), [3, 1, 0, 1]);
}

#[test]
fn a_quorum_waits_a_further_time_for_the_others() {
    let mut story = Story::of(&quorum("{quorum: 75%, grace: 10s}"), json!({}));
    story.done("a", json!(1)).done("b", json!(2));
    assert_eq!(story.timers(), [Timer::Deadline]);
    story.done("c", json!(3));
    assert_eq!(story.timers(), [Timer::Deadline, Timer::Grace(task("merge"))]);
    assert_eq!(story.status("merge"), "pending");
    assert_eq!(story.fired(Timer::Grace(task("merge"))).new_work(), ["merge"]);
    story.done("merge", json!("m"));
    assert_eq!(story.given_up(), ["d run_ended"]);

    let mut story = Story::of(&quorum("{quorum: 3, grace: 10s}"), json!({}));
    story.done("a", json!(1)).done("b", json!(2)).done("c", json!(3));
    assert_eq!(story.done("d", json!(4)).new_work(), ["merge"], "nobody else is waited for");
    assert_eq!(story.created("merge").1, json!([1, 4, "done"]));
    story.fired(Timer::Grace(task("merge"))).done("merge", json!("m"));
    assert_eq!(story.counts(), [5, 0, 0, 0]);
}

#[test]
fn too_few_fail_at_once_when_there_is_nobody_else_to_wait_for() {
    let mut story = Story::of(&quorum("{quorum: 3}"), json!({}));
    story.failed("a", "x").failed("b", "x").done("c", json!(3)).done("d", json!(4));
    let (code, failed, message) = story.failure();
    assert_eq!((code.as_str(), failed.as_str()), ("quorum_missed", "merge"));
    assert!(message.ends_with("2 of 4 went well, and 3 were needed"), "{message}");
}

#[test]
fn after_its_deadline_a_join_goes_on_or_fails() {
    let join = "{quorum: 2, grace: 1m, deadline: 30s}";
    let timer = || Timer::Join(task("merge"));
    let mut story = Story::of(&quorum(join), json!({}));
    assert_eq!(story.timers(), [Timer::Deadline, timer()]);
    story.done("a", json!(1)).done("b", json!(2));
    assert_eq!(story.fired(timer()).new_work(), ["merge"]);

    let tasks = quorum(join).replace(
        "merge: {",
        "repair: {agent: worker, with: '${tasks.merge.error.code}'}\n  merge: {on_failure: {task: repair}, ",
    );
    let mut story = Story::of(&tasks, json!({}));
    story.done("a", json!(1));
    assert_eq!(story.fired(timer()).new_work(), ["repair"]);
    assert_eq!(story.created("repair").1, json!("quorum_missed"));
    story.done("repair", json!("repaired"));
    assert_eq!(story.output(), json!("repaired"), "nobody waits for the others");
    assert_eq!(story.given_up(), ["b run_ended", "c run_ended", "d run_ended"]);
}

#[test]
fn what_nobody_waits_for_may_fail() {
    let tasks = "
output: '${tasks.last.output}'
tasks:
  slow: {agent: worker}
  behind: {agent: worker, needs: [slow]}
  quick: {agent: worker}
  last: {agent: worker, needs: [behind, quick], join: any}
";
    let mut story = Story::of(tasks, json!({}));
    assert_eq!(story.done("quick", json!(1)).new_work(), ["last"]);
    story.failed("slow", "x");
    assert!(story.is_open());
    story.done("last", json!("end"));
    assert_eq!(story.output(), json!("end"));
}

#[test]
fn a_join_of_skipped_tasks_is_skipped() {
    let tasks = "
output: {how: '${tasks.m.status}', other: '${tasks.n.status}'}
tasks:
  a: {agent: worker, when: 'false'}
  b: {agent: worker, when: 'false'}
  c: {agent: worker}
  m: {agent: worker, needs: [a, b], join: any}
  n: {agent: worker, needs: [a, b, c], join: {quorum: 1}}
";
    let mut story = Story::of(tasks, json!({}));
    assert_eq!(story.done("c", json!(1)).new_work(), ["n"]);
    story.done("n", json!(1));
    assert_eq!(story.output(), json!({"how": "skipped", "other": "done"}));
}

#[test]
fn what_a_join_went_on_without_is_free_whatever_was_to_stand_in() {
    let tasks = "
output: '${tasks.last.output}'
tasks:
  slow: {agent: worker, on_failure: {task: second}}
  second: {agent: worker, on_failure: {task: third}}
  third: {agent: worker}
  quick: {agent: worker}
  last: {agent: worker, needs: [quick, slow], join: any, on_failure: {task: spare}}
  spare: {agent: worker, needs: [slow]}
";
    let mut story = Story::of(tasks, json!({}));
    story.done("quick", json!(1));
    story.done("last", json!("end"));
    assert_eq!((story.output(), story.given_up()), (json!("end"), vec!["slow run_ended".to_owned()]));

    let needed = format!("{tasks}  waits: {{agent: worker, needs: [slow]}}\n");
    let mut story = Story::of(&needed, json!({}));
    story.done("quick", json!(1)).done("last", json!("end"));
    assert!(story.is_open(), "one still waits for it");
    story.failed("slow", "x").failed("second", "y").failed("third", "z");
    assert_eq!(story.failure().1, "third");
}

#[test]
fn what_only_one_that_stands_in_needs_is_waited_for() {
    let tasks = "
output: '${tasks.pay.output}'
tasks:
  pay: {agent: worker, on_failure: {task: invoice}}
  address: {agent: worker}
  invoice: {agent: worker, needs: [address]}
";
    let mut story = Story::of(tasks, json!({}));
    story.done("pay", json!(1));
    assert!(story.is_open());
    assert_eq!(story.done("address", json!("here")).output(), json!(1));
}
