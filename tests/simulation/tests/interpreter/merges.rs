//! Merges, on logs written by hand, of which the fold of `mesh-core` makes the same.

use mesh_simulation::interpreter::End;
use mesh_simulation::workload::{
    Body, Each, Expression, Local, Merge, MergeBy, Often, OnFailure, Task, Template,
};
use serde_json::{Value, json};

use crate::log::{Log, doing, failed, given, id, task};

/// Three tasks, of which the last is a loop over two items, and a merge of them.
fn merged(by: MergeBy, change: impl FnOnce(&mut Merge)) -> Log {
    let one = || Task { on_failure: OnFailure::Continue, ..task(&[]) };
    let each = Each {
        items: Template::Plain(json!([1, 2])),
        max_parallel: None,
        max_items: None,
        tolerate: Some(mesh_simulation::workload::Quota::Count(1)),
        adaptive: None,
    };
    let item = given(Expression::Local(Local::Item));
    let c = Task { often: Often::Each(each), ..doing(&[], item) };
    let mut merge = Merge::by(by, vec![id("a"), id("b"), id("c")]);
    change(&mut merge);
    let needs = [id("a"), id("b"), id("c")].into();
    let mut log = Log::of([
        ("a", one()),
        ("b", one()),
        ("c", c),
        ("m", Task { needs, ..Task::of(Body::Merge(merge)) }),
    ]);
    log.workflow.output = Some(Template::Whole(Expression::Output(id("m"))));
    log.start(json!({}))
}

/// What it gives where the second task fails before the others, and the second item after them.
fn outcome(log: Log) -> Value {
    let log = log.fatal("b", "1").completed("c:0", "1", json!("c0")).rated("a", json!("a"), 0.9);
    let log = log.fatal("c:1", "1");
    match log.end() {
        Some((4, End::Completed { output })) => output,
        other => panic!("{other:?}"),
    }
}

#[test]
fn outputs_are_made_one() {
    let error = json!({ "error": { "code": "no", "message": "" } });
    assert_eq!(outcome(merged(MergeBy::Collect, |_| {})), json!(["a", "c0"]));
    assert_eq!(outcome(merged(MergeBy::First, |_| {})), json!("c0"));
    assert_eq!(outcome(merged(MergeBy::Object, |_| {})), json!({ "a": "a", "c": ["c0", error] }));
    let turned = |merge: &mut Merge| (merge.names_them, merge.of) = (true, vec![id("c"), id("a")]);
    assert_eq!(outcome(merged(MergeBy::Collect, turned)), json!(["c0", "a"]));
}

#[test]
fn quality_and_speed_weigh() {
    let whole = outcome(merged(MergeBy::Quality, |_| {}));
    assert_eq!((&whole["result"], &whole["primary"]), (&json!("a"), &json!("a")));
    assert_eq!(whole["sources"][0]["quality"], json!(0.9));
    assert_eq!(
        whole["sources"][1],
        json!({
            "source": "c:0", "share": whole["sources"][1]["share"], "quality": 0.5, "seconds": 2.0, "output": "c0",
        })
    );
    let failures: Vec<&Value> =
        whole["failed"].as_array().into_iter().flatten().map(|failed| &failed["source"]).collect();
    assert_eq!((failures, &whole["missing"]), (vec![&json!("b"), &json!("c:1")], &json!([])));
    let weighed = |merge: &mut Merge| (merge.weights, merge.default_quality) = (Some((10, 0)), Some(100));
    let whole = outcome(merged(MergeBy::Quality, weighed));
    assert_eq!((&whole["primary"], &whole["sources"][0]["share"]), (&json!("c:0"), &json!(0.473684)));
    let fast = |merge: &mut Merge| merge.weights = Some((0, 10));
    assert_eq!(outcome(merged(MergeBy::Quality, fast))["primary"], json!("c:0"));
}

#[test]
fn nothing_that_went_well_is_nothing_to_merge() {
    for (by, is_enough) in [
        (MergeBy::Collect, Some(json!([]))),
        (MergeBy::Object, Some(json!({}))),
        (MergeBy::First, None),
        (MergeBy::Quality, None),
    ] {
        let merge = Merge::by(by, vec![id("a")]);
        let one = Task { on_failure: OnFailure::Continue, ..task(&[]) };
        let merge = Task { needs: [id("a")].into(), ..Task::of(Body::Merge(merge)) };
        let end = Log::started([("a", one), ("m", merge)]).fatal("a", "1").end();
        let right = match is_enough {
            Some(output) => End::Completed { output: json!({ "m": output }) },
            None => failed("nothing_to_merge", Some("m")),
        };
        assert_eq!(end, Some((1, right)), "{by:?}");
    }
}

#[test]
fn expressions_ask_how_good_an_output_is() {
    let quality = Template::Whole(Expression::Quality(id("a")));
    let of = |quality: &Template| {
        let mut log = Log::of([("a", task(&[]))]);
        log.workflow.output = Some(quality.clone());
        log.start(json!({}))
    };
    let output = |log: Log| match log.end() {
        Some((1, End::Completed { output })) => output,
        other => panic!("{other:?}"),
    };
    assert_eq!(output(of(&quality).rated("a", json!(1), 0.25)), json!(0.25));
    assert_eq!(output(of(&quality).rated("a", json!(1), 7.0)), json!(1.0));
    assert_eq!(output(of(&quality).completed("a", "1", json!(1))), Value::Null);
}
