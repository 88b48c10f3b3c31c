use serde_json::Value;

/// Deepest nesting of the data that a request, a task's input or a run's output may have. Readers of JSON commonly
/// refuse more than 128, and an envelope stands around it.
pub const MAX_DATA_DEPTH: usize = 100;

/// Whether lists and objects are nested deeper in a value than [`MAX_DATA_DEPTH`].
#[must_use]
pub fn is_too_deep(value: &Value) -> bool {
    !fits(value, MAX_DATA_DEPTH)
}

fn fits(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| fits(item, levels - 1)),
        Value::Object(object) => levels > 0 && object.values().all(|value| fits(value, levels - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_deepest_place_decides() {
        let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([0, { "in": inner }]));
        assert!(!is_too_deep(&nested(MAX_DATA_DEPTH / 2)));
        assert!(is_too_deep(&nested(MAX_DATA_DEPTH / 2 + 1)));
        assert!(is_too_deep(&json!({ "a": [], "b": nested(MAX_DATA_DEPTH / 2) })));
    }
}
