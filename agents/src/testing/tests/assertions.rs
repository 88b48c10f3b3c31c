//! What is said when an assertion does not hold.

use serde_json::json;

use super::panics;
use crate::TaskFailure;
use crate::testing::{Run, TestAgent, TestMesh, minutes, seconds};

const PAIR: &str = "
mesh: v1
name: pair
output: '${tasks.b.output}'
tasks:
  a: {agent: a, retry: {jitter: 0}}
  b: {agent: b, needs: [a]}
  c: {agent: c, needs: [a], when: 'false'}
";

async fn pair() -> Run {
    let mesh = TestMesh::of(PAIR);
    mesh.mock("a", |_| Ok(json!({"n": 1}))).fails_with(TaskFailure::retryable("busy", "not now")).once();
    mesh.mock("b", |_| Ok(json!({"n": 2, "list": [1, 2]}))).takes(minutes(5));
    mesh.mock("c", |_| Ok(()));
    mesh.run(json!({"x": "y"})).await
}

#[tokio::test(start_paused = true)]
async fn what_happened_is_shown_as_lines() {
    let run = pair().await;
    let said = panics(|| run.failed().with_code("busy").clone());
    let expected = [
        &format!("run {} of pair: expected it to fail, but it did not:", run.id()),
        "  +5m 1s     workflow.completed         {\"list\":[1,2],\"n\":2}",
        "what happened:",
        "  +0s        workflow.started           {\"x\":\"y\"}",
        "  +0s        task.created a             {\"x\":\"y\"}",
        "  +0s        task.assigned a            mock-a, delivery 1",
        "  +0s        task.failed a              busy: not now",
        "  +1s        timer.fired retry-a-1",
        "  +1s        task.created a 2           {\"x\":\"y\"}",
        "  +1s        task.assigned a 2          mock-a, delivery 1",
        "  +1s        task.completed a 2         {\"n\":1}",
        "  +1s        task.created b             {\"x\":\"y\"}",
        "  +1s        task.assigned b            mock-b, delivery 1",
        "  +5m 1s     task.completed b           {\"list\":[1,2],\"n\":2}",
        "  +5m 1s     workflow.completed         {\"list\":[1,2],\"n\":2}",
    ];
    assert_eq!(said, expected.join("\n"));
    assert!(run.to_string().starts_with("what happened:\n  +0s        workflow.started"));
}

#[tokio::test(start_paused = true)]
async fn each_assertion_can_fail() {
    let run = pair().await;
    let completed = run.completed();
    let says = |expected: &str, said: String| {
        let first = said.split("\nwhat happened:").next().unwrap_or_default();
        assert!(first.contains(expected), "expected {expected:?} in {first:?}");
    };
    says("n: expected 3, found 2", panics(|| completed.with_output(json!({"n": 3, "list": [1, 2]})).clone()));
    says("list: not expected", panics(|| completed.with_output(json!({"n": 2})).clone()));
    says("list[1]: expected 3", panics(|| completed.with_output_including(json!({"list": [1, 3]})).clone()));
    says("within 10s, but it took 5m 1s", panics(|| completed.within(seconds(10)).clone()));
    says("after 10m or later", panics(|| completed.after(minutes(10)).clone()));
    says("the output is no alloc::string::String", panics(|| completed.output::<String>()));
    says("expected it to be cancelled, but it was not:", panics(|| run.cancelled()));
    says("expected it to be rejected, but it was not:", panics(|| run.rejected()));
    says("task a of run", panics(|| run.task("a").was_created(3).times().clone()));
    says("expected 3 attempts, but there were 2", panics(|| run.task("a").was_created(3).times().clone()));
    says("expected 1 delivery, but there were 2", panics(|| run.task("a").was_taken(1).times().clone()));
    says("expected 2 attempts, but there was 1", panics(|| run.task("b").was_created(2).times().clone()));
    says("expected it to be skipped", panics(|| run.task("b").was_skipped().clone()));
    says("expected it not to run", panics(|| run.task("b").did_not_run().clone()));
    says("began before that one ended", panics(|| run.task("a").ran_after("b").clone()));
    says("began before that one ended", panics(|| run.task("b").ran_before("a").clone()));
    says("ended before the other began", panics(|| run.task("a").ran_beside("b").clone()));
    says("task 'c' to run, but it did not", panics(|| run.task("c").ran_after("a").clone()));
    says("its last attempt has no outcome", panics(|| run.task("c").completed()));
    says("its last attempt went well", panics(|| run.task("b").failed()));
    says("x: expected \"z\", found \"y\"", panics(|| run.task("b").had_input(json!({"x": "z"})).clone()));
    says("expected the progress [1.0]", panics(|| run.task("b").reported(&[1.0]).clone()));
    let events = run.events();
    says(
        "'task.created a' after 'task.created b'",
        panics(|| events.in_order(["task.created b", "task.created a"]).len()),
    );
    says("'task.failed b', and it did not happen", panics(|| events.include("task.failed b").len()));
    says(
        "no 'task.failed a', but there is one:\n  +0s",
        panics(|| events.do_not_include("task.failed a").len()),
    );
    says("2 times, but it happened 3 times", panics(|| events.include_exactly(2, "task.created").len()));
    says("expected a miracle", panics(|| events.satisfy("a miracle", |_| false).len()));
    // What can describe nothing would make an assertion that always holds.
    says("no task 'd'", panics(|| run.task("d").did_not_run().clone()));
    says("no task 'd'", panics(|| events.do_not_include("task.failed d").len()));
    says("did you mean 'task.failed'?", panics(|| events.do_not_include("task.faild a").len()));
    says("did you mean 'task.failed'?", panics(|| events.iter().any(|event| event.is("task.faild"))));
}

#[tokio::test(start_paused = true)]
async fn each_assertion_on_a_failure_can_fail() {
    let mesh = TestMesh::of(PAIR);
    mesh.mock("a", |_| Err::<(), _>(TaskFailure::fatal("no", "never ever")));
    mesh.nobody_has("b").nobody_has("c");
    let run = mesh.run(()).await;
    let says = |expected: &str, said: String| assert!(said.contains(expected), "{said}");
    says(
        "expected the code 'yes', but it is 'no': task 'a' failed: never ever",
        panics(|| run.failed().with_code("yes").clone()),
    );
    says("expected words with \"always\"", panics(|| run.failed().saying("always").clone()));
    says("expected task 'b' to be what failed, but it was a", panics(|| run.failed().in_task("b").clone()));
    says(
        "expected it to complete, but it did not:\n  +0s        workflow.failed            no: task 'a' failed: never ever",
        panics(|| run.completed()),
    );
    says("'no' is fatal", panics(|| run.task("a").failed().retryably().clone()));
    says(
        "expected a pause of 1 s",
        panics(|| run.task("a").failed().to_be_retried_after(seconds(1)).clone()),
    );
    says("say did_not_run()", panics(|| run.task("b").was_skipped().clone()));
    let shy = crate::Agent::builder("shy")
        .capability("x", async |_, (): ()| Err::<(), _>(TaskFailure::retryable("busy", "not now")));
    let outcome = TestAgent::of(shy).task("x", ()).await;
    says("may be tried again", panics(|| outcome.failed().fatally().clone()));
    says("but it did not:\n  +0s        task.failed task", panics(|| outcome.completed()));
    says("to be given back, but it did not", panics(|| outcome.was_given_back().clone()));
    says("expected the progress [0.5], but it told []", panics(|| outcome.reported(&[0.5]).clone()));
}
