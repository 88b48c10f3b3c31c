use serde_json::json;

use crate::support::Story;

const ASK: &str = "
config: {model: small, limits: {max: 5, strict: true}}
output: '${config.model}'
tasks:
  ask: {agent: worker, with: {model: '${config.model}', limits: '${config.limits}'}}
  check: {agent: worker, when: config.limits.strict}
";

#[test]
fn values_of_the_definition_are_the_usual_ones() {
    let mut story = Story::of(ASK, json!({}));
    assert_eq!(story.new_work(), ["ask", "check"]);
    assert_eq!(story.created("ask").1, json!({"model": "small", "limits": {"max": 5, "strict": true}}));
    story.done("ask", json!(1)).done("check", json!(1));
    assert_eq!(story.output(), json!("small"));
}

#[test]
fn a_request_puts_others_in_their_place() {
    let overrides = json!({"model": "large", "limits": {"strict": false}});
    let mut story = Story::with_config(ASK, json!({}), overrides.as_object().cloned());
    assert_eq!(story.new_work(), ["ask"]);
    assert_eq!(story.created("ask").1, json!({"model": "large", "limits": {"max": 5, "strict": false}}));
    story.done("ask", json!(1));
    assert_eq!(story.output(), json!("large"));
}

#[test]
fn what_is_in_nobodys_place_changes_nothing() {
    let overrides = json!({"modle": "large", "limits": {"max": 6, "more": 1}});
    let story = Story::with_config(ASK, json!({}), overrides.as_object().cloned());
    assert_eq!(story.created("ask").1, json!({"model": "small", "limits": {"max": 6, "strict": true}}));
}
