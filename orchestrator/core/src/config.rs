//! Configuration of a run: the values that its definition has, and what the request put in their place.

use mesh_schemas::document::nearest;
use serde_json::{Map, Value};

/// Most bytes that a request may put in place of the definition's values, as JSON. They stand in the first event of the run.
pub const MAX_CONFIG_BYTES: usize = 16 * 1024;

/// Every reason why a request may not put these values in place of the definition's.
#[must_use]
pub fn config_errors(config: Option<&Map<String, Value>>, overrides: &Map<String, Value>) -> Vec<String> {
    let mut errors = Vec::new();
    match config {
        Some(config) => compare(config, overrides, "config", &mut errors),
        None if overrides.is_empty() => {}
        None => {
            let keys: Vec<&str> = overrides.keys().map(String::as_str).collect();
            errors.push(format!("config: the workflow has none: leave out {}", keys.join(", ")));
        }
    }
    let bytes = serde_json::to_string(overrides).map_or(0, |text| text.len());
    if bytes > MAX_CONFIG_BYTES {
        errors.push(format!("config: {bytes} bytes of JSON, and at most {MAX_CONFIG_BYTES} are allowed"));
    }
    errors
}

/// The definition's values with what was put in their place. What has no place is left out of account.
#[must_use]
pub fn merged_config(config: Option<&Map<String, Value>>, overrides: Option<&Map<String, Value>>) -> Value {
    let mut merged = config.cloned().unwrap_or_default();
    if let Some(overrides) = overrides {
        merge(&mut merged, overrides);
    }
    Value::Object(merged)
}

fn merge(config: &mut Map<String, Value>, overrides: &Map<String, Value>) {
    for (key, value) in overrides {
        match (config.get_mut(key), value) {
            (Some(Value::Object(config)), Value::Object(overrides)) if !config.is_empty() => {
                merge(config, overrides)
            }
            (Some(config), value) => *config = value.clone(),
            (None, _) => {}
        }
    }
}

fn compare(
    config: &Map<String, Value>,
    overrides: &Map<String, Value>,
    path: &str,
    errors: &mut Vec<String>,
) {
    for (key, value) in overrides {
        let path = format!("{path}.{key}");
        match (config.get(key), value) {
            (None, _) => errors.push(match nearest(key, config.keys().map(String::as_str)) {
                Some(near) => format!("{path}: there is no such key: did you mean '{near}'?"),
                None => {
                    let keys: Vec<&str> = config.keys().map(String::as_str).collect();
                    format!("{path}: there is no such key, only {}", keys.join(", "))
                }
            }),
            // Null and an empty object say nothing of what may take their place.
            (Some(Value::Null), _) => {}
            (Some(Value::Object(config)), Value::Object(overrides)) if !config.is_empty() => {
                compare(config, overrides, &path, errors);
            }
            (Some(before), value) if kind(before) != kind(value) => {
                let hint = if matches!(before, Value::String(_)) { ": put it in double quotes" } else { "" };
                errors.push(format!("{path}: expected {}, found {}{hint}", kind(before), kind(value)));
            }
            (Some(_), _) => {}
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    fn sample() -> Map<String, Value> {
        object(&json!({
            "model": "small", "limits": {"max": 5, "strict": true}, "tags": ["a"], "any": null, "free": {},
        }))
    }

    #[test]
    fn what_a_request_says_takes_the_place_of_what_the_definition_says() {
        let overrides = json!({
            "model": "large", "limits": {"max": 9}, "tags": [], "any": [1], "free": {"x": {"y": 1}}, "no": 1,
        });
        let merged = merged_config(Some(&sample()), Some(&object(&overrides)));
        let expected = json!({
            "model": "large", "limits": {"max": 9, "strict": true}, "tags": [], "any": [1], "free": {"x": {"y": 1}},
        });
        assert_eq!(merged, expected);
        assert_eq!(merged_config(Some(&sample()), None), Value::Object(sample()));
        assert_eq!(merged_config(None, Some(&object(&overrides))), json!({}));
    }

    #[test]
    fn what_has_no_place_is_told() {
        for (overrides, expected) in [
            (json!({"modle": "x"}), vec!["config.modle: there is no such key: did you mean 'model'?"]),
            (json!({"x": 1}), vec!["config.x: there is no such key, only any, free, limits, model, tags"]),
            (
                json!({"model": 4}),
                vec!["config.model: expected text, found a number: put it in double quotes"],
            ),
            (json!({"limits": 4}), vec!["config.limits: expected an object, found a number"]),
            (json!({"tags": null}), vec!["config.tags: expected a list, found null"]),
            (
                json!({"limits": {"mx": 1, "max": "1"}}),
                vec![
                    "config.limits.max: expected a number, found text",
                    "config.limits.mx: there is no such key: did you mean 'max'?",
                ],
            ),
            (json!({"any": 1, "free": {"a": 1}, "limits": {}, "tags": [1]}), vec![]),
        ] {
            assert_eq!(config_errors(Some(&sample()), &object(&overrides)), expected, "{overrides}");
        }
        assert_eq!(
            config_errors(None, &object(&json!({"a": 1, "b": 2}))),
            ["config: the workflow has none: leave out a, b"]
        );
        let large = object(&json!({"any": "x".repeat(MAX_CONFIG_BYTES)}));
        assert!(config_errors(Some(&sample()), &large)[0].contains("at most 16384 are allowed"));
    }
}
