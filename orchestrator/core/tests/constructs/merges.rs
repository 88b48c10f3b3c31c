use serde_json::json;

use crate::support::Story;

fn merged(merge: &str) -> String {
    format!(
        "output: '${{tasks.m.output}}'\ntasks:\n  a: {{agent: worker, on_failure: continue}}\n  b: {{agent: worker, on_failure: \
         continue}}\n  c: {{agent: worker, on_failure: continue}}\n  m: {{needs: [a, b, c], merge: {merge}}}\n"
    )
}

#[test]
fn a_merge_by_quality_weighs_what_went_well() {
    let mut story = Story::of(&merged("quality"), json!({}));
    // Each event is a second later than the one before.
    story.done_with("a", json!("A"), Some(0.9)).failed("b", "broken").done("c", json!("C"));
    let (a, c) = (0.7 * 0.9 + 0.3 / (1.0 + 1.0 / 60.0), 0.7 * 0.5 + 0.3 / (1.0 + 3.0 / 60.0));
    let output = story.output();
    let number = |pointer: &str| output.pointer(pointer).and_then(serde_json::Value::as_f64).unwrap();
    assert!((number("/sources/0/share") - a / (a + c)).abs() < 1e-6, "{output}");
    assert!((number("/quality") - (a * 0.9 + c * 0.5) / (a + c)).abs() < 1e-6, "{output}");
    assert_eq!((&output["result"], &output["primary"]), (&json!("A"), &json!("a")));
    assert_eq!(output["sources"][1]["source"], json!("c"));
    assert_eq!((number("/sources/1/quality"), number("/sources/1/seconds")), (0.5, 3.0));
    assert_eq!(output["failed"], json!([{"source": "b", "code": "broken", "message": "no"}]));
    assert_eq!(output["missing"], json!([]));
    assert_eq!(story.counts(), [3, 1, 0, 0]);
}

#[test]
fn weights_are_a_matter_of_taste() {
    let merge = "{by: quality, from: [c, a], weights: {quality: 0, speed: 1}, default_quality: 1}";
    let mut story = Story::of(&merged(merge), json!({}));
    story.done_with("c", json!("C"), Some(0.1)).done("b", json!("B")).done("a", json!("A"));
    let output = story.output();
    assert_eq!((&output["primary"], &output["sources"][1]["quality"]), (&json!("c"), &json!(1.0)));
}

#[test]
fn plain_merges_collect_take_the_first_or_make_an_object() {
    for (merge, output) in [
        ("collect", json!(["A", "C"])),
        ("{by: collect, from: [c, a]}", json!(["C", "A"])),
        ("first", json!("C")),
        ("object", json!({"a": "A", "c": "C"})),
    ] {
        let mut story = Story::of(&merged(merge), json!({}));
        story.failed("b", "broken").done("c", json!("C")).done("a", json!("A"));
        assert_eq!(story.output(), output, "{merge}");
    }
}

#[test]
fn where_nothing_went_well_there_is_nothing_to_merge() {
    for (merge, fails) in [("quality", true), ("first", true), ("collect", false), ("object", false)] {
        let mut story = Story::of(&merged(merge), json!({}));
        story.failed("b", "x").failed("c", "x").failed("a", "x");
        if fails {
            let (code, task, message) = story.failure();
            assert_eq!((code.as_str(), task.as_str()), ("nothing_to_merge", "m"));
            assert!(message.ends_with("none of a, b, c went well"), "{message}");
        } else {
            assert_eq!(story.output().as_array().map_or(0, Vec::len), 0);
        }
    }
}

#[test]
fn each_item_of_a_loop_is_merged_by_itself() {
    let text = "output: '${tasks.m.output}'\ntasks:\n  fan: {foreach: {in: [1, 2, 3], tolerate: 1}, agent: worker}\n  m: {needs: \
                [fan], merge: quality}\n";
    let mut story = Story::of(text, json!({}));
    story.done_with("fan:2", json!("z"), Some(1.0)).failed("fan:0", "broken").done("fan:1", json!("y"));
    let output = story.output();
    assert_eq!((&output["primary"], &output["result"]), (&json!("fan:2"), &json!("z")));
    assert_eq!(output["failed"][0]["source"], json!("fan:0"));
    assert_eq!(output["sources"][0]["source"], json!("fan:1"));
}

#[test]
fn what_a_quorum_goes_on_without_is_missing() {
    let text = "output: '${tasks.m.output.missing}'\ntasks:\n  a: {agent: worker}\n  b: {agent: worker}\n  m: {needs: [a, b], \
                join: any, merge: quality}\n";
    let mut story = Story::of(text, json!({}));
    story.done("b", json!(1));
    assert_eq!(story.output(), json!(["a"]));
}

#[test]
fn conditions_can_ask_for_quality() {
    let text = "output: '${tasks.m.quality}'\ntasks:\n  a: {agent: worker}\n  m: {needs: [a], when: tasks.a.quality > 0.5, merge: \
                quality}\n";
    let mut story = Story::of(text, json!({}));
    story.done_with("a", json!(1), Some(0.75));
    assert_eq!(story.output(), json!(0.75));
    let mut story = Story::of(text, json!({}));
    story.done_with("a", json!(1), Some(0.25));
    assert_eq!((story.output(), story.counts()), (json!(null), [1, 0, 1, 0]));
}

#[test]
fn a_merge_that_is_a_case_tells_what_it_reckoned() {
    let text = "output: '${tasks.s.quality}'\ntasks:\n  a: {agent: worker}\n  b: {agent: worker}\n  s:\n    needs: [a, b]\n    switch:\n      - {when: \
                input.q, merge: {by: quality, from: [a, b]}}\n      - {merge: {by: object, from: [a, b]}}\n";
    for (by_quality, expected) in [(true, json!(0.8)), (false, json!(null))] {
        let mut story = Story::of(text, json!({"q": by_quality}));
        story.done_with("a", json!(1), Some(0.8)).done_with("b", json!(2), Some(0.8));
        assert_eq!(story.output(), expected);
    }
}
