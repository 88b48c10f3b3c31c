//! Where two JSON values differ, in words.

use serde_json::Value;

/// What counts as a difference.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    /// Everything.
    Whole,
    /// Only what is expected: objects may have more fields.
    Part,
}

/// Each place where `actual` is not as expected, `<path>: expected …, found …`; empty if there is none.
pub(super) fn differences(expected: &Value, actual: &Value, compare: Compare) -> Vec<String> {
    let mut found = Vec::new();
    walk("", expected, actual, compare, &mut found);
    found
}

fn walk(path: &str, expected: &Value, actual: &Value, compare: Compare, found: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(wanted), Value::Object(there)) => {
            for (key, wanted) in wanted {
                match there.get(key) {
                    Some(there) => walk(&join(path, key), wanted, there, compare, found),
                    None => found.push(format!("{}: expected {wanted}, and it is missing", join(path, key))),
                }
            }
            let more =
                there.iter().filter(|(key, _)| compare == Compare::Whole && !wanted.contains_key(*key));
            found
                .extend(more.map(|(key, value)| format!("{}: not expected, found {value}", join(path, key))));
        }
        (Value::Array(wanted), Value::Array(there)) if wanted.len() == there.len() => {
            for (place, (wanted, there)) in wanted.iter().zip(there).enumerate() {
                walk(&format!("{path}[{place}]"), wanted, there, compare, found);
            }
        }
        (Value::Number(wanted), Value::Number(there)) if is_same_number(wanted, there) => {}
        _ if expected == actual => {}
        _ => {
            let path = if path.is_empty() { "the whole" } else { path };
            found.push(format!("{path}: expected {expected}, found {actual}"));
        }
    }
}

/// JSON does not tell 1 from 1.0.
fn is_same_number(a: &serde_json::Number, b: &serde_json::Number) -> bool {
    a == b || ((a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64())
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_difference_is_told_with_its_place() {
        let expected = json!({"a": 1, "b": {"c": [1, {"d": "x"}]}, "e": null});
        let actual = json!({"a": 1.0, "b": {"c": [1, {"d": "y"}], "more": true}, "f": 2});
        let told = [
            "b.c[1].d: expected \"x\", found \"y\"",
            "b.more: not expected, found true",
            "e: expected null, and it is missing",
            "f: not expected, found 2",
        ];
        assert_eq!(differences(&expected, &actual, Compare::Whole), told);
        assert_eq!(differences(&expected, &actual, Compare::Part), [told[0], told[2]]);
        assert!(differences(&expected, &expected, Compare::Whole).is_empty());
        assert_eq!(differences(&json!([1]), &json!([1, 2]), Compare::Part).len(), 1);
        assert_eq!(
            differences(&json!(1), &json!("1"), Compare::Whole),
            ["the whole: expected 1, found \"1\""]
        );
        assert!(!is_same_number(&(u64::MAX).into(), &(u64::MAX - 1).into()));
    }
}
