//! What the validator of the crate `jsonschema` can do must come out the same here.

use super::*;

fn list(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn verdicts_agree_with_the_reference() {
    let values = list(
        r##"[
        null, true, false, 0, 1, -1, 1.0, 1.5, 2, 7, 1e300, "", "a", "ab", "äöü", "5", [], [1], [1, 1.0], [1, "a"], [[1], [1]],
        [null, 2, "x", {}], {}, {"a": 1}, {"a": "x"}, {"a": null, "b": 2}, {"b": 1}, {"ab": 1, "c": true},
        {"a": {"a": {"a": 1}}}, {"a": [1, {"b": 2}]}, {"a": 1, "b": 2, "c": 3}
    ]"##,
    );
    let schemas = list(
        r##"[
        true, false, {}, {"type": "integer"}, {"type": ["number", "null"]}, {"type": "boolean"}, {"enum": [1, "a", null, {"a": 1}]},
        {"const": 1.0}, {"const": [1]}, {"minimum": 1}, {"exclusiveMinimum": 1}, {"maximum": 1.5}, {"exclusiveMaximum": 1.5},
        {"multipleOf": 0.5}, {"multipleOf": 2}, {"minLength": 2}, {"maxLength": 2}, {"pattern": "^a"}, {"minItems": 2},
        {"maxItems": 1}, {"uniqueItems": true}, {"items": {"type": "number"}}, {"items": false},
        {"prefixItems": [{"type": "null"}, {"type": "integer"}]}, {"prefixItems": [true], "items": false},
        {"contains": {"type": "string"}}, {"contains": true, "minContains": 2}, {"contains": true, "maxContains": 1},
        {"contains": {"const": 9}, "minContains": 0}, {"minProperties": 2}, {"maxProperties": 1}, {"required": ["a"]},
        {"properties": {"a": {"type": "number"}}}, {"properties": {"a": true}, "additionalProperties": false},
        {"patternProperties": {"^a": {"type": "number"}}, "additionalProperties": {"type": "boolean"}},
        {"propertyNames": {"maxLength": 1}}, {"dependentRequired": {"a": ["b"]}}, {"dependentSchemas": {"a": {"minProperties": 2}}},
        {"allOf": [{"type": "number"}, {"minimum": 1}]}, {"anyOf": [{"type": "string"}, {"minimum": 1}]},
        {"oneOf": [{"type": "number"}, {"minimum": 1}]}, {"not": {"type": "object"}},
        {"if": {"type": "object"}, "then": {"required": ["a"]}, "else": {"type": "array"}}, {"if": {"const": 1}}, {"then": false},
        {"$ref": "#/$defs/n", "$defs": {"n": {"type": "number"}}}, {"properties": {"a": {"$ref": "#"}}, "additionalProperties": false},
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "object"}}}, {"format": "email", "x-note": 1},
        {"type": "object", "properties": {"a": {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/b"}]}}},
         "$defs": {"b": {"required": ["b"]}}}
    ]"##,
    );
    let mut different = Vec::new();
    for text in &schemas {
        let (ours, theirs) = (schema(text), jsonschema::draft202012::new(text).unwrap());
        for value in &values {
            let verdicts = (ours.refusal(value), theirs.is_valid(value));
            if verdicts.0.is_none() != verdicts.1 {
                different.push(format!("{text} on {value}: {verdicts:?}"));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
