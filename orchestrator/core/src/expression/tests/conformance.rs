//! What both this evaluator and the one of the crate `cel` can do must come out the same.

use cel::objects::Key;

use super::*;

fn reference(expression: &str, input: &Value) -> Option<Value> {
    let program = cel::Program::compile(expression).ok()?;
    let mut context = cel::Context::default();
    context.add_variable_from_value("input", cel::to_value(input).unwrap());
    to_json(&program.execute(&context).ok()?)
}

fn to_json(value: &cel::Value) -> Option<Value> {
    Some(match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(value) => json!(value),
        cel::Value::Int(value) => json!(value),
        cel::Value::UInt(value) => json!(value),
        cel::Value::Float(value) => Value::Number(serde_json::Number::from_f64(*value)?),
        cel::Value::String(text) => json!(**text),
        cel::Value::List(items) => Value::Array(items.iter().map(to_json).collect::<Option<_>>()?),
        cel::Value::Map(map) => {
            let entries = map.map.iter().map(|(key, value)| match key {
                Key::String(key) => Some((key.to_string(), to_json(value)?)),
                _ => None,
            });
            Value::Object(entries.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// Every operator and function on every pair of operands.
#[test]
fn operators_and_functions_agree_with_the_reference() {
    let data = Data::new(json!({
        "int": 7, "zero": 0, "neg": -3, "double": 2.5, "whole": 7.0, "text": "7", "word": "aé", "yes": true,
        "list": [1, 7, "7", null], "map": {"7": 1, "aé": [2]}, "null": null, "empty": [],
    }));
    let mut operands: Vec<String> =
        data.input.as_object().unwrap().keys().map(|key| format!("input.{key}")).collect();
    operands.extend(
        [
            "1",
            "7u",
            "0u",
            "-0.5",
            "'a'",
            "''",
            "[]",
            "{}",
            "null",
            "false",
            "[7.0]",
            "{'7': 1}",
            "9223372036854775807",
        ]
        .map(str::to_owned),
    );
    let mut expressions = Vec::new();
    for a in &operands {
        for form in
            ["size(A)", "int(A)", "uint(A)", "double(A)", "string(A)", "bool(A)", "-A", "!A", "A ? 1 : 2"]
        {
            expressions.push(form.replace('A', a));
        }
        for form in [
            "A.map(x, x)",
            "A.filter(x, x == 7)",
            "A.all(x, x != 0)",
            "A.exists(x, x > 1)",
            "A.exists_one(x, x == 7)",
        ] {
            // The reference walks a map in no order.
            expressions.push(form.replace('A', a));
        }
        for b in &operands {
            for operator in ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in", "&&", "||"] {
                expressions.push(format!("{a} {operator} {b}"));
            }
            for method in ["contains", "startsWith", "endsWith"] {
                expressions.push(format!("{a}.{method}({b})"));
            }
            expressions.push(format!("{a}[{b}]"));
        }
    }
    let mut different = Vec::new();
    for expression in &expressions {
        let ours = Template::compile(&json!(format!("${{{expression}}}"))).ok();
        let ours = ours.and_then(|template| template.render(&data.scope()).ok());
        let theirs = reference(expression, &data.input);
        let unordered = expression.starts_with("input.map.") && expression.contains(".map(x, x)");
        if ours != theirs && !unordered {
            different.push(format!("{expression}: {ours:?}, reference {theirs:?}"));
        }
    }
    assert!(different.is_empty(), "{} of {}:\n{}", different.len(), expressions.len(), different.join("\n"));
}
