use mesh_core::NotRerun;
use serde_json::json;

use crate::support::{Story, task};

const FORK: &str = "output: ['${tasks.b.output}', '${tasks.c.output}', '${tasks.d.output}']\ntasks:\n  a: {agent: worker}\n  b: \
                    {agent: worker, needs: [a], with: '${tasks.a.output}'}\n  c: {agent: worker, needs: [a], with: \
                    '${tasks.a.output}'}\n  d: {agent: worker, needs: [b], with: '${tasks.b.output}'}\n";

fn done() -> Story {
    let mut story = Story::of(FORK, json!({}));
    story.done("a", json!(1)).done("b", json!(2)).done("c", json!(3)).done("d", json!(4));
    story
}

#[test]
fn a_run_is_done_again_from_a_task_on() {
    let mut again = done().again(&["b"], json!({})).unwrap();
    assert_eq!(again.new_work(), ["b"]);
    assert_eq!(again.created("b").1, json!(1), "with what was taken over");
    assert_eq!((again.status("a"), again.status("c"), again.status("d")), ("done", "done", "pending"));
    again.done("b", json!(20)).done("d", json!(40));
    assert_eq!((again.output(), again.counts()), (json!([20, 3, 40]), [4, 0, 0, 0]));
}

#[test]
fn what_did_not_go_well_is_done_again_with_what_follows_from_it() {
    let mut story = Story::of(FORK, json!({}));
    story.done("a", json!(1)).done("c", json!(3)).failed("b", "broken");
    let mut again = story.again(&[], json!({})).unwrap();
    assert_eq!(again.new_work(), ["b"]);
    assert_eq!(again.done("b", json!(2)).new_work(), ["d"]);
    again.done("d", json!(4));
    assert_eq!(again.output(), json!([2, 3, 4]));
}

#[test]
fn a_run_that_was_done_again_is_done_again() {
    let mut again = done().again(&["d"], json!({})).unwrap();
    again.failed("d", "broken");
    let mut third = again.again(&[], json!({})).unwrap();
    assert_eq!(third.new_work(), ["d"]);
    assert_eq!(third.done("d", json!(5)).output(), json!([2, 3, 5]));
}

#[test]
fn where_all_went_well_somebody_has_to_say_from_where_on() {
    let story = done();
    assert_eq!(story.again(&[], json!({})).err(), Some(NotRerun::NothingToDo));
    assert_eq!(story.again(&["x"], json!({})).err(), Some(NotRerun::NoTask(task("x"))));
}

#[test]
fn what_was_skipped_is_decided_anew_and_so_is_what_was_taken_over() {
    let text = "output: {b: '${tasks.b.output}', c: '${tasks.c.output}'}\ntasks:\n  a: {agent: worker}\n  b: {agent: worker, needs: \
                [a], when: input.b}\n  c: {agent: worker, needs: [a], when: '!input.b'}\n";
    let mut story = Story::of(text, json!({"b": true}));
    story.done("a", json!(1)).done("b", json!(2));
    assert_eq!(story.output(), json!({"b": 2, "c": null}));
    let mut again = story.again(&["c"], json!({"b": false})).unwrap();
    assert_eq!((again.new_work(), again.status("b")), (vec!["c".to_owned()], "skipped"));
    assert_eq!(again.done("c", json!(3)).output(), json!({"b": null, "c": 3}));
}

#[test]
fn what_needs_something_that_goes_otherwise_now_is_not_taken_over() {
    let text = "output: '${tasks.z.output}'\ntasks:\n  x: {agent: worker, when: input.b}\n  y: {agent: worker, needs: [x], on_skipped: run, with: \
                '${tasks.x.output}'}\n  s: {agent: worker, needs: [y], when: 'false'}\n  z: {agent: worker, needs: [y, s], on_skipped: run, \
                with: '${tasks.y.output}'}\n  w: {agent: worker}\n";
    for (before, now) in [(false, true), (true, false)] {
        let mut story = Story::of(text, json!({"b": before}));
        if before {
            story.done("x", json!("x"));
        }
        story.done("w", json!(0)).done("y", json!(1)).done("z", json!(2));
        let mut again = story.again(&["w"], json!({"b": now})).unwrap();
        if now {
            assert_eq!(again.new_work(), ["w", "x"]);
            assert_eq!(again.done("x", json!("x")).new_work(), ["y"]);
        } else {
            assert_eq!(again.new_work(), ["w", "y"]);
        }
        assert_eq!(again.created("y").1, if now { json!("x") } else { json!(null) });
        assert_eq!(again.done("y", json!(3)).new_work(), ["z"], "what follows from that, too");
        again.done("z", json!(4)).done("w", json!(0));
        assert_eq!(again.output(), json!(4));
    }
}

#[test]
fn what_a_race_went_on_without_was_not_wrong() {
    let text = "output: '${tasks.b.output}'\ntasks:\n  quick: {agent: worker}\n  slow: {agent: worker}\n  a: {agent: worker, needs: [quick, \
                slow], join: any}\n  b: {agent: worker, needs: [a]}\n";
    let mut story = Story::of(text, json!({}));
    story.done("quick", json!(1)).done("a", json!(2)).done("b", json!(3));
    assert_eq!(story.output(), json!(3));
    assert_eq!(story.again(&[], json!({})).err(), Some(NotRerun::NothingToDo));
    let mut again = story.again(&["b"], json!({})).unwrap();
    assert_eq!((again.status("a"), again.done("b", json!(4)).output()), ("done", json!(4)));
}

#[test]
fn loops_groups_and_measures_are_taken_over_as_a_whole() {
    let text = "output: ['${tasks.each.output}', '${tasks.group.output}', '${tasks.rep.iterations}', '${tasks.sum.output.quality}', \
                '${tasks.last.output}']\ntasks:\n  each: {foreach: {in: [1, 2]}, agent: worker}\n  group: {tasks: {x: {agent: worker}}, \
                output: '${tasks.x.output}'}\n  rep: {repeat: {until: 'iteration == 2', max: 3}, agent: worker}\n  sum: {needs: [each, \
                group], merge: {by: quality}}\n  last: {needs: [sum, rep], agent: worker}\n";
    let mut story = Story::of(text, json!({}));
    story.done_with("each:0", json!(1), Some(0.5)).done_with("each:1", json!(2), Some(0.75));
    story.done("group:x", json!(3)).done("rep:1", json!(4)).done("rep:2", json!(5)).done("last", json!(6));
    let output = story.output();
    let mut again = story.again(&["last"], json!({})).unwrap();
    assert_eq!(again.new_work(), ["last"]);
    assert_eq!(again.done("last", json!(6)).output(), output);
    let mut again = story.again(&["sum"], json!({})).unwrap();
    assert_eq!(again.new_work(), ["last"], "a merge has the same to go by");
    assert_eq!(again.done("last", json!(6)).output(), output);
}

#[test]
fn a_task_that_stood_in_for_another_is_done_again_only_if_that_fails_again() {
    let text = "output: '${tasks.a.output}'\ntasks:\n  a: {agent: worker, on_failure: {task: r}}\n  r: {agent: worker}\n  b: {agent: \
                worker}\n";
    let mut story = Story::of(text, json!({}));
    story.done("b", json!(1)).failed("a", "broken").done("r", json!(2));
    let mut again = story.again(&[], json!({})).unwrap();
    assert_eq!(again.new_work(), ["a"]);
    assert_eq!((again.done("a", json!(3)).output(), again.status("r")), (json!(3), "skipped"));
}

#[test]
fn what_would_have_stood_in_for_what_went_well_is_no_reason_to_do_that_again() {
    let text = "
tasks:
  a: {agent: worker, on_failure: {task: b}}
  b: {agent: worker, on_failure: {task: c}}
  c: {agent: worker}
  d: {agent: worker, needs: [a], with: '${tasks.a.output.missing}'}
";
    let mut story = Story::of(text, json!({}));
    story.done("a", json!({}));
    assert_eq!(story.failure().1, "d", "it fails before all have been told that they are not needed");
    let again = story.again(&[], json!({})).unwrap();
    assert_eq!(again.new_work(), Vec::<String>::new());
    assert_eq!(again.failure().1, "d");
}
