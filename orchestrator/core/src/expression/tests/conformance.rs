//! What both this evaluator and the one of the crate `cel` can do must come out the same.

use cel::objects::Key;

use super::*;

fn from_json(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(value) => cel::Value::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => cel::Value::Int(int),
            (_, Some(uint)) => cel::Value::UInt(uint),
            _ => cel::Value::Float(number.as_f64().unwrap()),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(from_json).collect::<Vec<_>>().into(),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| (key.clone(), from_json(value)));
            entries.collect::<std::collections::HashMap<_, _>>().into()
        }
    }
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

/// Evaluates an expression over `input.a` and `input.b` in both ways, on every pair of values.
fn compare(expression: &str, values: &[Value], different: &mut Vec<String>) {
    let ours = Template::compile(&json!(format!("${{{expression}}}"))).unwrap();
    let theirs = cel::Env::stdlib().compile(expression).unwrap();
    for a in values {
        for b in values {
            // The reference appends the keys of a map to a list, in no order, and walks over maps in no order.
            let unordered = b.is_object() && expression == "input.a + input.b"
                || a.is_object() && expression.contains(".map(x, x)");
            // It knows no fields of null.
            let lenient = a.is_null() && ["has(", ".?", "[?"].iter().any(|form| expression.contains(form));
            if unordered || lenient {
                continue;
            }
            let data = Data::new(json!({"a": a, "b": b}));
            let mut context = cel::Context::default();
            context.add_variable_from_value("input", from_json(&data.input));
            let theirs = theirs.execute(&context).ok().and_then(|value| to_json(&value));
            let ours = ours.render(&data.scope()).ok();
            // To it, what cannot have fields or items lacks them.
            let stricter = ours.is_none() && [".?", "[?"].iter().any(|form| expression.contains(form));
            if ours != theirs && !stricter {
                different.push(format!("{expression} on {}: {ours:?}, reference {theirs:?}", data.input));
            }
            if !expression.contains("input.b") {
                break;
            }
        }
    }
}

#[test]
fn operators_and_functions_agree_with_the_reference() {
    let values = json!([
        7, 0, -3, i64::MAX, i64::MIN, u64::MAX, 2.5, 7.0, -0.5, 1e300, "7", "aé", "a", "", "true", true, false,
        null, [1, 7, "7", null], [7.0], [], {"7": 1, "aé": [2]}, {"f": {"g": 1}}, {},
    ]);
    let values = values.as_array().unwrap();
    let mut different = Vec::new();
    for operator in ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in", "&&", "||"] {
        compare(&format!("input.a {operator} input.b"), values, &mut different);
    }
    for expression in [
        "input.a.contains(input.b)",
        "input.a.startsWith(input.b)",
        "input.a.endsWith(input.b)",
        "input.a[input.b]",
        "[input.a, 7u, [input.b]] == [input.b, 7, [input.a]]",
        "{'x': input.a} == {'x': input.b}",
        "uint(input.a) + uint(input.b)",
        "uint(input.a) % uint(input.b)",
        "uint(input.a) < input.b",
        "input.a.exists(x, x == input.b) || input.b",
        "size(input.a)",
        "int(input.a)",
        "uint(input.a)",
        "double(input.a)",
        "string(input.a)",
        "bool(input.a)",
        "-input.a",
        "!input.a",
        "input.a ? 1 : 2",
        "input.a.f.g",
        "has(input.a.f)",
        "has(input.a.f.g)",
        "input.a.map(x, x)",
        "input.a.map(x, x == 7, [x])",
        "input.a.filter(x, x == 7)",
        "input.a.all(x, x != 0)",
        "input.a.exists(x, x > 1)",
        "input.a.exists_one(x, x == 7)",
        "{1: 'a', 2u: 'b', true: 'c', 's': 'd'}[input.a]",
        "input.a in {7: 'a', true: 'c', 's': 'd'}",
        "input.a.?f.?g.orValue(input.b)",
        "input.a.?f.g.orValue(input.b)",
        "input.a[?input.b].orValue(1)",
        "input.a[?input.b].hasValue()",
        "optional.of(input.a) == optional.of(input.b)",
        "optional.ofNonZeroValue(input.a).orValue(input.b)",
        "optional.of(input.a).optMap(x, [x]).orValue(1)",
        "[1, ?input.a.?f]",
    ] {
        compare(expression, values, &mut different);
    }
    assert!(different.is_empty(), "{}:\n{}", different.len(), different.join("\n"));
}
