//! Expressions of workloads mean the same to the mesh, whatever data they meet.

use std::collections::BTreeMap;

use mesh_core::{Around, Condition, Ended, Scope, Template};
use mesh_schemas::TaskId;
use mesh_simulation::workload::{self, Choices, NoValue, Workload};
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
fn compile(workflow: &workload::Workflow) -> (Conditions<'_>, Templates<'_>) {
    let whens = workflow.tasks.values().filter_map(|task| task.when.as_ref());
    let templates = workflow.tasks.values().flat_map(|task| task.with.iter().chain(&task.output));
    (
        whens.map(|when| (when, Condition::compile(&when.to_cel()).expect("a condition"))).collect(),
        templates
            .chain(&workflow.output)
            .map(|template| (template, Template::compile(&template.to_json()).expect("a template")))
            .collect(),
    )
}

#[test]
fn expressions_have_the_value_that_the_mesh_gives_them() {
    let (mut values, mut none) = (0, 0);
    let run = json!({ "id": "3.x", "workflow": "w", "correlation_id": "c", "started_at": "2026-01-02T03:04:05.000Z" });
    for seed in 0..SEEDS {
        let workload = Workload::generate(seed);
        let choices = &mut Choices::new(seed);
        for workflow in workload.workflows.values() {
            let (conditions, templates) = compile(workflow);
            for _ in 0..DATA {
                let outputs: BTreeMap<TaskId, Value> =
                    workflow.tasks.keys().map(|id| (id.clone(), any(choices))).collect();
                let (input, result) = (any(choices), any(choices));
                let ours = workload::Scope { input: &input, outputs: &outputs, run: &run, result: &result };
                let ended = |(id, output): (&TaskId, &Value)| {
                    (id.clone(), Ended { output: output.clone(), ..Ended::default() })
                };
                let ended = outputs.iter().map(ended).collect();
                let around = &Around::tasks(&ended);
                let theirs =
                    Scope { input: &input, config: &json!({}), run: &run, around, result: Some(&result) };
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
