//! The configuration of a definition.

use mesh_schemas::document::{Problem, nearest};
use mesh_schemas::{Definition, ErrorCode};
use serde_json::{Map, Value};

use super::problem;
use crate::expression::References;

/// Notes what is wrong with the values.
pub(super) fn check(definition: &Definition, problems: &mut Vec<Problem>) {
    for (key, value) in definition.config.iter().flatten() {
        let path = format!("config.{key}");
        let begins = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !begins || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            let message =
                format!("'{key}' is not a name: use letters, digits and '_', so that expressions can use it");
            problems.push(problem(ErrorCode::InvalidName, &path, message));
        }
        constant(value, &path, problems);
    }
}

/// The values are what they are when a run starts.
fn constant(value: &Value, path: &str, problems: &mut Vec<Problem>) {
    match value {
        Value::String(text) if text.contains("${") => {
            let message = "config holds plain values: an expression belongs where config is used";
            problems.push(problem(ErrorCode::Expression, path, message));
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                constant(item, &format!("{path}[{number}]"), problems);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                constant(value, &format!("{path}.{key}"), problems);
            }
        }
        _ => {}
    }
}

/// What an expression uses of the configuration that there is not.
pub(super) fn unknown(
    config: Option<&Map<String, Value>>,
    references: &References,
) -> impl Iterator<Item = String> {
    let missing = match config {
        None => {
            references.config.then(|| "the workflow has no 'config': write one beside its tasks".to_owned())
        }
        Some(_) => None,
    };
    let keys = references.config_keys.iter().filter_map(move |key| {
        let config = config.filter(|config| !config.contains_key(key))?;
        Some(match nearest(key, config.keys().map(String::as_str)) {
            Some(near) => format!("config has no '{key}': did you mean '{near}'?"),
            None => format!("config has no '{key}': write it there with the usual value"),
        })
    });
    missing.into_iter().chain(keys)
}
