use mesh_schemas::Timer;
use serde_json::{Value, json};

use crate::support::{Story, task};

const REVIEW: &str = "output: '${tasks.review.output}'\ntasks:\n  review: {agent: planner, plan: {capabilities: [lint, scan, \
                      planner]}}\n  other: {agent: worker}\n";

fn plan() -> Value {
    json!({
        "tasks": {
            "syntax": { "agent": "lint", "with": "${input.source}" },
            "security": { "agent": "scan" },
            "report": { "agent": "lint", "needs": ["syntax", "security"], "with": "${tasks.syntax.output}" },
        },
        "output": { "report": "${tasks.report.output}" },
    })
}

#[test]
fn what_an_agent_planned_is_done_in_its_place() {
    let mut story = Story::of(REVIEW, json!({"source": "src"}));
    story.done("review", plan());
    assert_eq!(story.new_work(), ["review:security", "review:syntax"]);
    assert_eq!(story.created("review:syntax").1, json!("src"));
    assert_eq!((story.status("review"), story.status("review:report")), ("active", "pending"));
    story.done("other", json!(1)).done("review:syntax", json!("fine")).done("review:security", json!("safe"));
    assert_eq!(story.created("review:report").1, json!("fine"));
    story.done("review:report", json!("good"));
    assert_eq!(story.output(), json!({"report": "good"}));
    assert_eq!(story.counts(), [5, 0, 0, 0]);
}

#[test]
fn its_output_is_made_of_what_the_plan_came_to() {
    let text =
        "output: '${tasks.p.output}'\ntasks:\n  p: {agent: worker, plan: true, output: {all: '${result}'}}\n";
    let mut story = Story::of(text, json!({}));
    story.done("p", json!({"tasks": {"x": {"agent": "worker"}, "y": {"agent": "worker"}}}));
    story.done("p:x", json!(1)).done("p:y", json!(2));
    assert_eq!(story.output(), json!({"all": {"x": 1, "y": 2}}));
}

#[test]
fn all_that_is_wrong_with_a_plan_is_named() {
    let mut story = Story::of(REVIEW, json!({}));
    let wrong = json!({"tasks": {
        "a": { "agent": "worker", "needs": ["b", "nobody"] },
        "b": { "agent": "lint", "needs": ["a"], "with": "${tasks.c.output}" },
    }});
    story.done("review", wrong);
    let (code, failed, message) = story.failure();
    assert_eq!((code.as_str(), failed.as_str()), ("invalid_plan", "review"));
    for part in [
        "tasks.a.agent: a plan may not ask for 'worker' here, but for lint, planner, scan",
        "tasks.a.needs: tasks need each other in a cycle: a → b → a",
        "tasks.a.needs[1]: there is no task 'nobody'",
        "tasks.b.with: there is no task 'c'",
    ] {
        assert!(message.contains(part), "{part}\nin {message}");
    }
    for (plan, part) in [
        (json!("do it"), "expected an object with the keys tasks, output"),
        (json!({"tasks": {}}), "a plan has at least one task"),
        (json!({"tasks": {"a": {"agnet": "lint"}}}), "did you mean 'agent'"),
        (json!({"tasks": {"a": {"workflow": "other"}}}), "a plan may not start runs of other workflows"),
        (json!({"tasks": {"a:b": {"agent": "lint"}}}), "a task id has no ':'"),
    ] {
        let mut story = Story::of(REVIEW, json!({}));
        story.done("review", plan);
        let (code, _, message) = story.failure();
        assert!(code == "invalid_plan" && message.contains(part), "{part}\nin {message}");
    }
}

#[test]
fn a_plan_is_no_larger_and_no_deeper_than_allowed() {
    let text = "tasks:\n  p: {agent: worker, plan: {max_tasks: 2}}\n";
    let inner = json!({"agent": "worker"});
    let mut story = Story::of(text, json!({}));
    story.done("p", json!({"tasks": {"a": inner, "b": inner, "c": inner}}));
    assert!(story.failure().2.contains("the plan may have at most 2 tasks, and has 3"));

    let nested = json!({"tasks": {"q": {"agent": "worker", "plan": true}}});
    let mut story = Story::of(text, json!({}));
    story.done("p", nested.clone()).done("p:q", json!({"tasks": {"a": inner}}));
    assert_eq!(story.new_work(), ["p:q:a"]);
    story.done("p:q:a", json!(7));
    assert_eq!(story.output(), json!({"p": {"q": {"a": 7}}}));

    let mut story = Story::of(text, json!({}));
    story.done("p", nested.clone()).done("p:q", nested);
    let (code, failed, message) = story.failure();
    assert_eq!((code.as_str(), failed.as_str()), ("invalid_plan", "p:q"));
    assert!(message.contains("this plan may have no task that plans"), "{message}");
}

#[test]
fn what_is_planned_is_repeated_and_given_up_as_everything_else() {
    let mut story = Story::of(REVIEW, json!({"source": 1}));
    story.done("review", plan()).fails_for_now("review:syntax", "busy");
    let (key, _) = story.created("review:syntax");
    story.fired(Timer::Retry { task: task("review:syntax"), after: key.attempt });
    assert_eq!(story.new_work(), ["review:syntax"]);
    story.failed("review:security", "unsafe");
    let (code, failed, _) = story.failure();
    assert_eq!((code.as_str(), failed.as_str()), ("unsafe", "review:security"));
    assert_eq!(story.given_up(), ["review:syntax overtaken", "other run_ended"]);
    assert!(story.is_stray("other:x", 1) && !story.is_stray("review:syntax", 1));
}

#[test]
fn items_and_iterations_are_planned_each_by_itself() {
    let text =
        "output: '${tasks.p.output}'\ntasks:\n  p: {foreach: {in: [1, 2]}, agent: worker, plan: true}\n";
    let mut story = Story::of(text, json!({}));
    story.done("p:0", json!({"tasks": {"x": {"agent": "worker"}}, "output": "${tasks.x.output}"}));
    story.done("p:1", json!({"tasks": {"y": {"agent": "worker"}}, "output": "${tasks.y.output}"}));
    story.done("p:1:y", json!("b")).done("p:0:x", json!("a"));
    assert_eq!(story.output(), json!(["a", "b"]));
}
