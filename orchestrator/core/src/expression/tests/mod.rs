mod bounds;
mod conformance;
mod language;
mod optionals;
mod secrets;
mod templates;

use std::collections::BTreeMap;

use mesh_schemas::TaskId;
use serde_json::{Value, json};

use super::{Around, Condition, Ended, ExpressionError, Scope, Status, Template};

/// The data that the tests evaluate on.
struct Data {
    input: Value,
    around: Around<'static>,
    config: Value,
    run: Value,
    result: Value,
}

impl Data {
    fn new(input: Value) -> Self {
        let outputs = [
            ("risk", json!({"score": 0.8, "level": "low", "reasons": ["a", "b"]})),
            ("skipped", Value::Null),
        ];
        let ended = |output: Value| {
            let status = if output.is_null() { Status::Skipped } else { Status::Done };
            Ended { output, status, ..Ended::default() }
        };
        let outputs = outputs.into_iter().map(|(id, output)| (TaskId::new(id).unwrap(), ended(output)));
        let outputs: &BTreeMap<TaskId, Ended> = Box::leak(Box::new(outputs.collect()));
        Self {
            input,
            around: Around::tasks(outputs),
            config: json!({"model": "small", "limits": {"max": 5}}),
            run: json!({"id": "3.x", "workflow": "w", "correlation_id": "c", "started_at": "2026-01-02T03:04:05Z"}),
            result: json!({"value": 7}),
        }
    }

    fn sample() -> Self {
        Self::new(json!({
            "name": "Müller", "revenue": 7, "ratio": 5.5, "big": u64::MAX, "empty": null, "ok": true,
            "tags": ["x", "y", "z"], "list": [3, 1, 2], "a-b": 1,
            "map": {"b": 2, "a": 1, "c": {"d": [10, 20]}},
            "rows": [{"id": 1, "on": true}, {"id": 2, "on": false}, {"id": 3, "on": true}],
        }))
    }

    fn scope(&self) -> Scope<'_> {
        Scope {
            input: &self.input,
            config: &self.config,
            around: &self.around,
            run: &self.run,
            result: Some(&self.result),
        }
    }

    fn render(&self, template: &Value) -> Result<Value, ExpressionError> {
        Template::compile(template)
            .map_err(|problems| panic!("{template}: {problems:?}"))
            .unwrap()
            .render(&self.scope())
    }

    fn value(&self, expression: &str) -> Result<Value, ExpressionError> {
        self.render(&json!(format!("${{{expression}}}")))
    }
}
