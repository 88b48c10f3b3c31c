//! Where data differs from what was expected of it.

use serde_json::{Number, Value};

/// Differences that are told of one piece of data: enough to see what is wrong.
const MOST: usize = 10;

/// A place where two pieces of data differ.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    /// Where: `.address.city` or `[0]`; empty for the whole.
    pub(super) place: String,
    /// What was expected there; `None` if nothing.
    pub(super) expected: Option<Value>,
    /// What is there; `None` if nothing.
    pub(super) found: Option<Value>,
}

/// How exact data must be what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exactness {
    /// Nothing more and nothing less.
    Equal,
    /// Objects may have further keys.
    Contains,
}

/// Every place where data differs, up to a number of them. 1 and 1.0 are one number, as in JSON.
pub(super) fn differences(expected: &Value, found: &Value, exactness: Exactness) -> Vec<Difference> {
    let mut all = Vec::new();
    compare(expected, found, exactness, &mut String::new(), &mut all);
    all
}

fn compare(
    expected: &Value,
    found: &Value,
    exactness: Exactness,
    place: &mut String,
    all: &mut Vec<Difference>,
) {
    if all.len() >= MOST {
        return;
    }
    let length = place.len();
    match (expected, found) {
        (Value::Object(wanted), Value::Object(there)) => {
            let mut keys: Vec<&String> = wanted.keys().collect();
            if exactness == Exactness::Equal {
                keys.extend(there.keys().filter(|key| !wanted.contains_key(*key)));
            }
            for key in keys {
                // A place is appended to a path, so it begins with its separator.
                place.push('.');
                place.push_str(key);
                match (wanted.get(key), there.get(key)) {
                    (Some(wanted), Some(there)) => compare(wanted, there, exactness, place, all),
                    (wanted, there) if all.len() < MOST => all.push(Difference {
                        place: place.clone(),
                        expected: wanted.cloned(),
                        found: there.cloned(),
                    }),
                    _ => {}
                }
                place.truncate(length);
            }
        }
        (Value::Array(wanted), Value::Array(there)) if wanted.len() == there.len() => {
            for (index, (wanted, there)) in wanted.iter().zip(there).enumerate() {
                place.push_str(&format!("[{index}]"));
                compare(wanted, there, exactness, place, all);
                place.truncate(length);
            }
        }
        (Value::Number(a), Value::Number(b)) if same_number(a, b) => {}
        (a, b) if a == b => {}
        _ => all.push(Difference {
            place: place.clone(),
            expected: Some(expected.clone()),
            found: Some(found.clone()),
        }),
    }
}

fn same_number(a: &Number, b: &Number) -> bool {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a.as_f64() == b.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn places(expected: Value, found: Value, exactness: Exactness) -> Vec<String> {
        differences(&expected, &found, exactness).into_iter().map(|difference| difference.place).collect()
    }

    #[test]
    fn every_place_that_differs_is_named() {
        let expected = json!({"a": {"b": [1, 2]}, "c": 1, "d": null});
        let found = json!({"a": {"b": [1, 3]}, "d": null, "e": 2});
        assert_eq!(places(expected.clone(), found.clone(), Exactness::Equal), [".a.b[1]", ".c", ".e"]);
        assert_eq!(places(expected, found, Exactness::Contains), [".a.b[1]", ".c"]);
        assert_eq!(places(json!([1]), json!([1, 2]), Exactness::Contains), [""], "lists are as long");
        assert_eq!(places(json!({"a": null}), json!({}), Exactness::Contains), [".a"], "null is there");
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let equal = |a, b| places(a, b, Exactness::Equal).is_empty();
        assert!(equal(json!([1, 2.0, u64::MAX]), json!([1.0, 2, u64::MAX])));
        assert!(!equal(json!(u64::MAX), json!(u64::MAX - 1)), "which are one double");
        assert!(!equal(json!(1), json!("1")) && !equal(json!(0), json!(false)));
    }

    #[test]
    fn only_so_many_differences_are_told() {
        let list = |value: i32| Value::from(vec![value; 1_000]);
        assert_eq!(places(list(1), list(2), Exactness::Equal).len(), MOST);
        let object = |prefix: &str| -> Value {
            (0..1_000).map(|n| (format!("{prefix}{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into()
        };
        assert_eq!(places(object("a"), object("b"), Exactness::Equal).len(), MOST);
    }
}
