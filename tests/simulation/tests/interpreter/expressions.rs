//! Expressions of workloads mean the same to the mesh, whatever data they meet.

use std::collections::BTreeMap;

use mesh_core::{Around, Brings, Condition, Ended, Scope, Status, Template};
use mesh_simulation::workload::{self, Choices, NoValue, Seen, Workload};
use serde_json::{Value, json};

/// Of how many seeds expressions are taken, and on how many data each is tried.
const SEEDS: u64 = 300;
const DATA: usize = 20;

fn any(choices: &mut Choices) -> Value {
    let odd = [
        json!(null),
        json!(5),
        json!("x"),
        json!(true),
        json!([1, "a"]),
        json!({}),
        json!({ "extra": null }),
    ];
    if choices.chance("odd", 30) {
        return odd[choices.below(odd.len())].clone();
    }
    let mut usual =
        json!({ "n": choices.below(4), "text": choices.pick(&["", "x"]), "ok": choices.chance("ok", 50) });
    let field = choices.pick(&["n", "text", "ok", "extra"]);
    if choices.chance("one field is odd", 20) {
        usual[field] = odd[choices.below(odd.len())].clone();
    }
    if choices.chance("large", 5) {
        usual["n"] = choices.pick(&[i64::MAX, i64::MIN, -1]).into();
    }
    usual
}

type Conditions<'a> = Vec<(&'a workload::Expression, Condition)>;
type Templates<'a> = Vec<(&'a workload::Template, Template)>;

/// The expressions of a workflow, and what the mesh reads them as.
fn compile<'a>(parts: &workload::Parts<'a>) -> (Conditions<'a>, Templates<'a>) {
    let condition =
        |when: &&'a workload::Expression| (*when, Condition::compile(&when.to_cel()).expect("a condition"));
    let template = |template: &&'a workload::Template| {
        (*template, Template::compile(&template.to_json()).expect("a template"))
    };
    (parts.conditions.iter().map(condition).collect(), parts.templates.iter().map(template).collect())
}

/// A task that has ended in some way, as the workload sees it and as the mesh does.
fn ended(choices: &mut Choices) -> (Seen, Ended) {
    let (status, name) =
        choices.pick(&[(Status::Done, "done"), (Status::Failed, "failed"), (Status::Skipped, "skipped")]);
    let (output, iterations) = (any(choices), any(choices));
    let error = (status == Status::Failed).then(|| json!({ "code": "busy", "message": "" }));
    let seen = Seen {
        output: output.clone(),
        status: name.into(),
        error: error.clone().unwrap_or_default(),
        iterations: iterations.clone(),
        ..Seen::default()
    };
    (
        seen,
        Ended {
            output,
            status,
            error: error.map(Box::new),
            iterations: Some(Box::new(iterations)),
            measures: None,
        },
    )
}

#[test]
fn expressions_have_the_value_that_the_mesh_gives_them() {
    let (mut values, mut none) = (0, 0);
    let outcome = json!({ "status": "failed", "error": { "code": "busy", "message": "" } });
    let run = json!({
        "id": "3.x",
        "workflow": "w",
        "correlation_id": "c",
        "started_at": "2026-01-02T03:04:05.000Z",
        "outcome": outcome,
    });
    for seed in 0..SEEDS {
        let workload = Workload::generate(seed);
        let choices = &mut Choices::new(seed);
        for workflow in workload.workflows.values() {
            let parts = workflow.parts();
            let (conditions, templates) = compile(&parts);
            for _ in 0..DATA {
                let (mut seen, mut known) = (BTreeMap::new(), BTreeMap::new());
                for (id, _) in &parts.tasks {
                    if choices.chance("has ended", 90) {
                        let (ours, theirs) = ended(choices);
                        seen.insert((*id).clone(), ours);
                        known.insert((*id).clone(), theirs);
                    }
                }
                let (input, result) = (any(choices), any(choices));
                let (item, previous) = (any(choices), any(choices));
                let key = choices.chance("key", 50).then_some("k");
                let (index, number, named) = (json!(2), json!(3), key.map_or(Value::Null, Value::from));
                let outer = workload::Around::tasks(&seen);
                let brings = workload::Brings::Item { item: &item, index: &index, key: &named };
                let middle = workload::Around { parent: Some(&outer), brings };
                let brings = workload::Brings::Iteration { number: &number, previous: &previous };
                let around = &workload::Around { parent: Some(&middle), brings };
                let ours =
                    workload::Scope { input: &input, run: &run, outcome: &outcome, result: &result, around };
                let outer = Around::tasks(&known);
                let middle =
                    Around { parent: Some(&outer), brings: Brings::Item { item: &item, index: 2, key } };
                let brings = Brings::Iteration { number: 3, previous: &previous };
                let around = &Around { parent: Some(&middle), brings };
                let config = json!({});
                let theirs =
                    Scope { input: &input, config: &config, run: &run, around, result: Some(&result) };
                for (when, condition) in &conditions {
                    let told = condition.evaluate(&theirs).map_err(|_| NoValue);
                    assert_eq!(when.truth(&ours), told, "{when}\n{ours:?}");
                }
                for (template, compiled) in &templates {
                    let told = compiled.render(&theirs).map_err(|_| NoValue);
                    *if told.is_ok() { &mut values } else { &mut none } += 1;
                    assert_eq!(template.render(&ours), told, "{}\n{ours:?}", template.to_json());
                }
            }
        }
    }
    assert!(values > 1_000 && none > 1_000, "{values} values, and {none} times none");
}
