//! What is said about a value that does not follow its schema.

use serde_json::Value;

use super::keyword::{Bounds, Type};

/// Longest value that is quoted, in bytes of JSON.
const MAX_QUOTED: usize = 40;
/// Most of several choices that are named.
const MAX_NAMED: usize = 8;

/// A value in a sentence: itself if it is short, else what it is.
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Array(items) if items.is_empty() => "an empty list".to_owned(),
        Value::Array(items) => format!("a list with {}", count(items.len(), "item")),
        Value::Object(map) if map.is_empty() => "an empty object".to_owned(),
        Value::Object(map) => format!("an object with {}", count(map.len(), "key")),
        Value::String(text) => {
            let quoted = value.to_string();
            if quoted.len() <= MAX_QUOTED {
                return quoted;
            }
            let begin: String = text.chars().take(MAX_QUOTED / 2).collect();
            format!(
                "{}… (text of {} characters)",
                Value::from(begin).to_string().trim_end_matches('"'),
                text.chars().count()
            )
        }
        other => other.to_string(),
    }
}

pub(super) fn types(types: &[Type]) -> String {
    let names: Vec<&str> = types.iter().map(|type_| type_name(*type_)).collect();
    either(&names)
}

fn type_name(type_: Type) -> &'static str {
    match type_ {
        Type::Array => "a list",
        Type::Boolean => "true or false",
        Type::Integer => "a whole number",
        Type::Null => "null",
        Type::Number => "a number",
        Type::Object => "an object",
        Type::String => "text",
    }
}

pub(super) fn one_of(choices: &[Value]) -> String {
    let mut names: Vec<String> = choices.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    if choices.len() > MAX_NAMED {
        names.push(format!("{} more", choices.len() - MAX_NAMED));
    }
    match names.as_slice() {
        [only] => only.clone(),
        names => format!("one of {}", names.join(", ")),
    }
}

/// How many there should be: `at least 1 item`.
pub(super) fn bounds(bounds: Bounds, noun: &str) -> String {
    match (bounds.least, bounds.most) {
        (least, Some(most)) if least == most => format!("exactly {}", count(least, noun)),
        (0, Some(most)) => format!("at most {}", count(most, noun)),
        (least, Some(most)) => format!("{least} to {}", count(most, noun)),
        (least, None) => format!("at least {}", count(least, noun)),
    }
}

pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A key at the end of a path.
pub(super) fn link(path: &mut String, key: &str) {
    let is_plain = !key.is_empty()
        && !key.starts_with(|c: char| c.is_ascii_digit())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain {
        path.push('.');
        path.push_str(key);
    } else {
        path.push_str(&format!("[{}]", Value::from(key)));
    }
}

fn either(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [only] => (*only).to_owned(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}
