//! Where JSON differs from what was expected of it: for reports and for the messages of tests.

use serde_json::{Number, Value};

/// The most differences that are told of one piece of data: enough to see what is wrong.
pub const MAX_DIFFERENCES: usize = 10;

/// A place where JSON is not as expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where, as it is appended to a path: `.address.city` or `[0]`; empty for the whole.
    pub place: String,
    /// What was expected there; `None` if nothing.
    pub expected: Option<Value>,
    /// What is there; `None` if nothing.
    pub found: Option<Value>,
}

/// How exact JSON must be what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exactness {
    /// Nothing more and nothing less.
    Equal,
    /// Objects may have further keys, at any depth; lists are as long as expected.
    Contains,
}

/// Every place where JSON is not as expected, up to [`MAX_DIFFERENCES`]; empty if there is none.
///
/// 1 and 1.0 are one number, as JSON does not tell them apart. A key whose value is null is there. In each object the keys
/// that were expected come first.
#[must_use]
pub fn differences(expected: &Value, found: &Value, exactness: Exactness) -> Vec<Difference> {
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
    let length = place.len();
    match (expected, found) {
        (Value::Object(wanted), Value::Object(there)) => {
            let more = there.keys().filter(|key| exactness == Exactness::Equal && !wanted.contains_key(*key));
            for key in wanted.keys().chain(more) {
                place.push('.');
                place.push_str(key);
                match (wanted.get(key), there.get(key)) {
                    (Some(wanted), Some(there)) => compare(wanted, there, exactness, place, all),
                    (wanted, there) => tell(place, wanted, there, all),
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
        (Value::Number(wanted), Value::Number(there)) if is_same_number(wanted, there) => {}
        _ if expected == found => {}
        _ => tell(place, Some(expected), Some(found), all),
    }
}

fn tell(place: &str, expected: Option<&Value>, found: Option<&Value>, all: &mut Vec<Difference>) {
    if all.len() < MAX_DIFFERENCES {
        let (expected, found) = (expected.cloned(), found.cloned());
        all.push(Difference { place: place.to_owned(), expected, found });
    }
}

/// Whole numbers are compared as such: large ones that differ may be one double.
fn is_same_number(a: &Number, b: &Number) -> bool {
    a == b || ((a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64())
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
        let expected = json!({"a": {"b": [1, {"d": "x"}]}, "c": 1, "e": null, "g": {}});
        let found = json!({"a": {"b": [1, {"d": "y"}], "more": true}, "e": null, "f": 2, "g": {"h": 0}});
        let equal = [".a.b[1].d", ".a.more", ".c", ".g.h", ".f"];
        assert_eq!(places(expected.clone(), found.clone(), Exactness::Equal), equal);
        assert_eq!(places(expected.clone(), found, Exactness::Contains), [".a.b[1].d", ".c"]);
        assert!(places(expected.clone(), expected, Exactness::Equal).is_empty());
        assert_eq!(places(json!([1]), json!([1, 2]), Exactness::Contains), [""], "lists are as long");
        assert_eq!(places(json!({"a": null}), json!({}), Exactness::Contains), [".a"], "null is there");
    }

    #[test]
    fn a_difference_has_what_was_expected_and_what_is_there() {
        let told = differences(&json!({"a": 1, "b": null}), &json!({"a": "1", "c": 2}), Exactness::Equal);
        let difference =
            |place: &str, expected, found| Difference { place: place.to_owned(), expected, found };
        assert_eq!(
            told,
            [
                difference(".a", Some(json!(1)), Some(json!("1"))),
                difference(".b", Some(Value::Null), None),
                difference(".c", None, Some(json!(2))),
            ]
        );
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let equal = |a, b| places(a, b, Exactness::Equal).is_empty();
        assert!(equal(json!([1, 2.0, u64::MAX]), json!([1.0, 2, u64::MAX])));
        assert!(!equal(json!(u64::MAX), json!(u64::MAX - 1)), "which are one double");
        assert!(!equal(json!(1), json!(1.5)) && !equal(json!(-1), json!(u64::MAX)));
        assert!(!equal(json!(1), json!("1")) && !equal(json!(0), json!(false)));
    }

    #[test]
    fn only_so_many_differences_are_told() {
        let list = |value: i32| Value::from(vec![value; 1_000]);
        assert_eq!(places(list(1), list(2), Exactness::Equal).len(), MAX_DIFFERENCES);
        let object = |prefix: &str| -> Value {
            (0..1_000).map(|n| (format!("{prefix}{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into()
        };
        assert_eq!(places(object("a"), object("b"), Exactness::Equal).len(), MAX_DIFFERENCES);
    }
}
