mod conformance;

use serde_json::{Value, json};

use super::Schema;

fn schema(schema: &Value) -> Schema {
    Schema::compile(schema).unwrap_or_else(|problems| panic!("{schema}: {problems:?}"))
}

#[test]
fn what_does_not_follow_is_told_with_its_place() {
    let order = json!({
        "type": "object",
        "required": ["id", "items"],
        "additionalProperties": false,
        "properties": {
            "id": {"type": "string", "pattern": "^[a-z]+$"},
            "state": {"enum": ["open", "done"]},
            "items": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/item"}},
            "a b": {"const": 1},
        },
        "$defs": {"item": {"type": "object", "properties": {"price": {"type": "number", "minimum": 0}}}},
    });
    let order = schema(&order);
    assert_eq!(
        order.refusal(&json!({"id": "a", "items": [{"price": 1.5}], "state": "open", "a b": 1.0})),
        None
    );
    for (value, expected) in [
        (json!(7), "expected an object, found 7"),
        (json!({"items": [{}]}), "the key 'id' is missing"),
        (json!({"id": "a", "item": [{}]}), "the key 'items' is missing, found 'item'"),
        (json!({"id": "a", "items": []}), ".items: expected at least 1 item, found 0"),
        (
            json!({"id": "a", "items": [{}, {"price": "1"}]}),
            ".items[1].price: expected a number, found \"1\"",
        ),
        (json!({"id": "a", "items": [{"price": -1}]}), ".items[0].price: expected at least 0, found -1"),
        (json!({"id": "A", "items": [{}]}), ".id: expected text that matches ^[a-z]+$, found \"A\""),
        (
            json!({"id": "a", "items": [{}], "state": "x"}),
            ".state: expected one of \"open\", \"done\", found \"x\"",
        ),
        (
            json!({"id": "a", "items": [{}], "stat": "x"}),
            "the key 'stat' is not expected: perhaps 'state' is meant",
        ),
        (json!({"id": "a", "items": [{}], "a b": 2}), "[\"a b\"]: expected 1, found 2"),
    ] {
        let refusal = order.refusal(&value).unwrap_or_default();
        assert!(refusal.contains(expected), "{value}: {refusal}");
    }
    let many: Vec<Value> = (0..9).map(|_| json!({"price": null})).collect();
    let refusal = order.refusal(&json!({"id": "a", "items": many})).unwrap();
    assert!(refusal.ends_with(".items[4].price: expected a number, found null; and 4 more"), "{refusal}");
}

#[test]
fn a_schema_that_is_none_is_refused_with_its_place() {
    for (text, path, expected) in [
        (json!(5), "", "expected a schema, which is an object, true or false, found 5"),
        (json!({"type": "strnig"}), ".type", "unknown type \"strnig\": did you mean 'string'?"),
        (
            json!({"properties": {"a": {"type": 1}}}),
            ".properties.a.type",
            "unknown type 1: a type is one of array",
        ),
        (json!({"requred": ["a"]}), ".requred", "unknown keyword 'requred': did you mean 'required'?"),
        (json!({"required": "a"}), ".required", "expected a list of keys"),
        (json!({"items": [{}]}), ".items", "write 'prefixItems'"),
        (
            json!({"anyOf": [{}, {"minLength": -1}]}),
            ".anyOf[1].minLength",
            "expected a whole number from 0 on",
        ),
        (json!({"pattern": "("}), ".pattern", "the pattern \"(\" cannot be used: unclosed group"),
        (json!({"$ref": "https://x.org/a.json"}), ".$ref", "is elsewhere, and nothing is fetched"),
        (json!({"$ref": "#/$defs/a"}), ".$ref", "there is nothing at '#/$defs/a'"),
        (
            json!({"unevaluatedProperties": false}),
            ".unevaluatedProperties",
            "cannot be checked: leave it out",
        ),
        (json!({"$defs": {"a": {"minimum": "0"}}}), ".$defs.a.minimum", "expected a number, found \"0\""),
        (json!({"multipleOf": 0}), ".multipleOf", "expected a number above 0, found 0"),
    ] {
        let problems = Schema::compile(&text).expect_err("it is none");
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(problems[0].0 == path && problems[0].1.contains(expected), "{text}: {problems:?}");
    }
}

#[test]
fn alternatives_say_why() {
    let either = schema(&json!({"anyOf": [{"type": "number"}, {"required": ["a"], "type": "object"}]}));
    assert_eq!(
        either.refusal(&json!({})).as_deref(),
        Some(
            "follows none of the 2 schemas of 'anyOf': [0] expected a number, found an empty object, [1] the key 'a' is missing"
        )
    );
    let one = schema(&json!({"oneOf": [{"type": "number"}, {"minimum": 3}]}));
    let refusal = one.refusal(&json!(4)).unwrap();
    assert!(refusal.contains("more than one schema of 'oneOf': [0] and [1]"), "{refusal}");
}

#[test]
fn a_schema_may_use_itself_and_always_ends() {
    let tree =
        schema(&json!({"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}));
    assert_eq!(tree.refusal(&json!({"left": {"right": {}}})), None);
    let refusal = tree.refusal(&json!({"left": {"right": 1}})).unwrap();
    assert_eq!(refusal, ".left.right: expected an object, found 1");
    let circle = schema(&json!({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}}));
    assert!(circle.refusal(&json!(1)).unwrap().contains("more steps than a check may take"));
    let wide = schema(&json!({"uniqueItems": true}));
    let list: Vec<u32> = (0..20_000).collect();
    assert!(wide.refusal(&json!(list)).unwrap().contains("more steps than a check may take"));
}

#[test]
fn numbers_are_compared_by_what_they_are_worth() {
    for (rule, value, follows) in [
        (json!({"multipleOf": 0.01}), json!(19.99), true),
        (json!({"multipleOf": 0.01}), json!(19.995), false),
        (json!({"multipleOf": 3}), json!(9.0), true),
        (json!({"multipleOf": 0.5}), json!(1e300), true),
        (json!({"type": "integer"}), json!(2.0), true),
        (json!({"type": "integer"}), json!(2.5), false),
        (json!({"maximum": 9_007_199_254_740_992_u64}), json!(9_007_199_254_740_993_u64), false),
        (json!({"enum": [1]}), json!(1.0), true),
        (json!({"const": {"a": [1.0]}}), json!({"a": [1]}), true),
        (json!({"uniqueItems": true}), json!([1, 1.0]), false),
        (json!({"uniqueItems": true}), json!([1, true, "1"]), true),
    ] {
        assert_eq!(schema(&rule).refusal(&value).is_none(), follows, "{rule} {value}");
    }
}
