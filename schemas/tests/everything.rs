//! `examples/everything.yaml` uses all that a definition can hold: it reads and writes alike in every form, and what is added to
//! the model is to be added to it.

use std::collections::BTreeSet;

use mesh_schemas::definition::{
    Adaptive, Finally, Foreach, Join, Limits, Merge, MergeBy, OnFailure, OnMax, OnSkipped, Planner, Quorum,
    Quota, Recovery, Repeat, Retry, Span, TaskBuilder, Weights, parse,
};
use mesh_schemas::document::Format;
use mesh_schemas::generate::files;
use mesh_schemas::{Definition, Digest};
use serde_json::{Value, json};

const TEXT: &str = include_str!("../examples/everything.yaml");

fn read(text: &str, format: Format) -> Definition {
    parse(text, format).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

/// The same definition, built in Rust.
fn built() -> Definition {
    let work = |agent: &str| TaskBuilder::new(agent).expect("a capability");
    let draft = work("writer")
        .with(json!({"before": "${previous}", "model": "${config.model}"}))
        .repeat(Repeat { until: "result.done".to_owned(), max: 5, on_max: OnMax::Continue });
    let fetch = work("fetcher")
        .action("page")
        .with(json!({"header": "Bearer ${secret(\"api-key\")}", "url": "${input.url}"}))
        .retry(Retry {
            max_attempts: 5,
            initial: Span::from_secs(2),
            factor: 3.0,
            max: Span::from_secs(60),
            jitter: 0.5,
            fatal_on: vec!["not_found".to_owned()],
        })
        .timeout(Span::from_secs(30))
        .output(json!("${result.text}"))
        .output_schema(json!({"type": "object"}))
        .on_failure(OnFailure::Task("fallback".parse().expect("an id")));
    let long = work("writer")
        .action("long")
        .output(json!("${result.text}"))
        .output_schema(json!({"type": "object"}))
        .timeout(Span::from_secs(300));
    let report = TaskBuilder::switch()
        .case("config.model == 'large'", long)
        .otherwise(work("writer").with(json!("${tasks.review.output}")));
    let report =
        ["draft", "fetch", "review"].into_iter().fold(report, |task, id| task.needs(id).expect("an id"));
    let report = report
        .join(Join::Quorum(Quorum {
            quorum: Quota::Percent(60.0),
            grace: Some(Span::from_secs(10)),
            deadline: Some(Span::from_secs(3_600)),
        }))
        .when("input.?quick.orValue(true)")
        .on_skipped(OnSkipped::Run);
    let check = work("checker").with(json!("${item}")).on_failure(OnFailure::Continue);
    let judge = work("judge").needs("check").expect("an id");
    let review = TaskBuilder::group()
        .task("check", check)
        .and_then(|group| group.task("judge", judge))
        .and_then(|group| group.needs("fetch"))
        .expect("ids")
        .output(json!("${tasks.judge.output}"))
        .output_schema(json!({"type": "object"}))
        .foreach(Foreach {
            items: json!("${input.pages}"),
            max_parallel: Some(4),
            adaptive: Some(Adaptive { complexity: json!("${input.complexity}"), dependency: json!(0.2) }),
            max_items: Some(100),
            tolerate: Some(Quota::Percent(10.0)),
        })
        .join(Join::Any);
    let config = json!({"model": "small", "limits": {"words": 100}});
    let definition = Definition::builder("everything")
        .expect("a name")
        .description("Uses all that a definition can hold. Its text is as the mesh writes it.")
        .input(json!({"type": "object"}))
        .config(config.as_object().cloned().unwrap_or_default())
        .output(json!({
            "report": "${tasks.report.output}", "review": "${tasks.review.output.?score.orValue(0)}",
        }))
        .output_schema(json!({"required": ["report"]}))
        .timeout(Span::from_secs(7_200))
        .recovery(Recovery::Retry(2))
        .finally(Finally {
            tasks: [("tell".parse().expect("an id"), work("notifier").with(json!("${run.outcome}")).build())]
                .into(),
            timeout: Some(Span::from_secs(60)),
        });
    let outline = work("planner").pause_before().plan(Planner::Limited(Limits {
        capabilities: ["writer".parse().expect("a capability")].into(),
        max_tasks: 20,
        max_depth: 1,
    }));
    let best = ["draft", "fetch"].into_iter().fold(
        TaskBuilder::merge(Merge {
            from: vec!["fetch".parse().expect("an id"), "draft".parse().expect("an id")],
            weights: Weights { quality: 0.6, speed: 0.4 },
            default_quality: 0.4,
            ..Merge::by(MergeBy::Quality)
        }),
        |task, id| task.needs(id).expect("an id"),
    );
    let publish = TaskBuilder::workflow("publishing")
        .and_then(|task| task.needs("report"))
        .expect("names")
        .version(Digest::of(b"publishing"))
        .no_wait()
        .with(json!("${tasks.report.output}"));
    let tasks = [
        ("best", best),
        ("draft", draft),
        ("fallback", work("writer").action("template")),
        ("fetch", fetch),
        ("outline", outline),
        ("publish", publish),
        ("report", report),
        ("review", review),
    ];
    let add = |definition: mesh_schemas::definition::DefinitionBuilder, (id, task)| {
        definition.task(id, task).expect("an id")
    };
    tasks.into_iter().fold(definition, add).build()
}

#[test]
fn it_is_the_same_in_every_form() {
    let from_yaml = read(TEXT, Format::Yaml);
    assert_eq!(from_yaml.to_yaml(), TEXT);
    let from_json = read(&from_yaml.to_json(), Format::Json);
    assert_eq!(from_json, from_yaml);
    let from_wire: Definition = serde_json::from_str(&from_json.canonical_json()).expect("a definition");
    assert_eq!(from_wire, from_yaml);
    let built = built();
    assert_eq!(built, from_wire);
    assert_eq!(built.digest(), from_yaml.digest());
    assert_eq!(built.to_yaml(), TEXT);
}

/// The keys of a definition, wherever in the model they stand, by the schema that is made from it.
fn keys_of_the_model() -> BTreeSet<String> {
    fn collect(schema: &Value, keys: &mut BTreeSet<String>) {
        match schema {
            Value::Object(map) => {
                if let Some(Value::Object(properties)) = map.get("properties") {
                    keys.extend(properties.keys().cloned());
                }
                map.values().for_each(|value| collect(value, keys));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, keys)),
            _ => {}
        }
    }
    let (_, text) = files()
        .into_iter()
        .find(|(path, _)| path == "json/workflow-definition.json")
        .expect("the schema of definitions");
    let mut keys = BTreeSet::new();
    collect(&serde_json::from_str(&text).expect("JSON"), &mut keys);
    keys
}

#[test]
fn nothing_is_left_out_of_it() {
    let used: BTreeSet<&str> = TEXT
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches("- ").split_once(':'))
        .map(|(key, _)| key)
        .collect();
    let missing: Vec<String> =
        keys_of_the_model().into_iter().filter(|key| !used.contains(key.as_str())).collect();
    assert!(missing.is_empty(), "add these keys to examples/everything.yaml: {missing:?}");
}
