//! Evaluating what stands in `${…}`.

use std::collections::BTreeMap;
use std::hint::black_box;

use mesh_core::{Around, Condition, Ended, Scope, Template};
use mesh_schemas::TaskId;
use serde_json::{Value, json};

use crate::{Scenario, Work};

const REPETITIONS: usize = 100;
/// Items of the list that is mapped and filtered.
const ITEMS: usize = 100;

pub(crate) fn scenarios() -> Vec<Scenario> {
    let text = || template(json!("Hello ${tasks.enrich.output.customer.name}, welcome back."));
    let object = || {
        let customer = "${tasks.enrich.output.customer}";
        template(
            json!({ "to": customer, "subject": "Order ${input.order}", "retries": 3, "tags": ["a", "b"] }),
        )
    };
    let list = || {
        template(json!(
            "${tasks.enrich.output.lines.filter(line, line.amount > 50).map(line, line.amount * 2)}"
        ))
    };
    vec![
        Scenario::new("template-text", REPETITIONS, text),
        Scenario::new("template-object", REPETITIONS, object),
        Scenario::new("template-filter-map-100", REPETITIONS / 10, list),
        Scenario::new("condition", REPETITIONS, condition),
    ]
}

/// What the expressions see.
struct Seen {
    input: Value,
    config: Value,
    run: Value,
    ended: BTreeMap<TaskId, Ended>,
}

impl Seen {
    fn new() -> Self {
        let lines: Vec<Value> =
            (0..ITEMS).map(|n| json!({ "name": format!("line {n}"), "amount": n })).collect();
        let output = json!({ "customer": { "name": "Ada", "country": "GB" }, "score": 0.75, "lines": lines });
        let ended = Ended { output, ..Ended::default() };
        Self {
            input: json!({ "order": "4711", "limit": 0.5 }),
            config: json!({}),
            run: json!({ "id": "1", "workflow": "counted" }),
            ended: [(TaskId::new("enrich").expect("a task"), ended)].into(),
        }
    }

    fn with<T>(&self, see: impl FnOnce(&Scope<'_>) -> T) -> T {
        let Self { input, config, run, ended } = self;
        see(&Scope { input, config, run, around: &Around::tasks(ended), result: None })
    }
}

fn template(data: Value) -> Work {
    let template = Template::compile(&data).expect("it is sound");
    let seen = Seen::new();
    Box::new(move || {
        let rendered = seen.with(|scope| black_box(&template).render(scope));
        assert!(black_box(rendered).is_ok());
    })
}

fn condition() -> Work {
    let text = "tasks.enrich.status == 'done' && tasks.enrich.output.score >= input.limit \
                && tasks.enrich.output.customer.country in ['DE', 'GB']";
    let condition = Condition::compile(text).expect("it is sound");
    let seen = Seen::new();
    Box::new(move || {
        assert_eq!(seen.with(|scope| black_box(&condition).evaluate(scope)), Ok(true));
    })
}
