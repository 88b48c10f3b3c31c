use mesh_schemas::{Attempt, SpanId, TaskId};
use serde_json::{Value, json};

use super::*;
use crate::commands::trace::story::tests::{Events, at, completed};

fn exported(story: &Story) -> Vec<Value> {
    let request = request(&Namespace::new("mesh").unwrap(), story, at(9_999));
    let value = serde_json::to_value(request).unwrap();
    value["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().unwrap();
    attributes.iter().find(|attribute| attribute["key"] == key).map_or(&Value::Null, |found| &found["value"])
}

#[test]
fn a_run_is_one_trace_with_the_ids_that_everyone_can_work_out() {
    let story = completed().story(9_999);
    let run = story.run;
    let spans = exported(&story);
    assert!(spans.iter().all(|span| span["traceId"] == run.trace_id()), "{spans:#?}");
    let root = &spans[0];
    assert_eq!(root["spanId"], SpanId::of_run(&run).to_string());
    assert_eq!(root["name"], "run order");
    assert_eq!(root["startTimeUnixNano"], "1767225600000000000");
    assert_eq!(root["endTimeUnixNano"], "1767225601420000000");
    assert_eq!(root.get("parentSpanId"), None);
    let ids: std::collections::BTreeSet<&str> =
        spans.iter().filter_map(|span| span["spanId"].as_str()).collect();
    assert_eq!(ids.len(), spans.len());
    // The run, four attempts and their four deliveries, a pause, the end.
    assert_eq!(spans.len(), 11);
    assert!(spans[1..].iter().all(|span| ids.contains(span["parentSpanId"].as_str().unwrap())));
}

#[test]
fn an_attempt_says_what_it_is_what_it_waited_for_and_how_it_failed() {
    let mut story = completed().story(9_999);
    let run = story.run;
    let load = TaskId::new("load").unwrap();
    story.tasks[2].needs = vec![TaskId::new("fetch").unwrap(), TaskId::new("slow").unwrap()];
    let spans = exported(&story);
    let of = |attempt| SpanId::of_attempt(&run, &load, attempt).to_string();
    let first = spans.iter().find(|span| span["spanId"] == of(Attempt::FIRST)).unwrap();
    assert_eq!((&first["kind"], &first["status"]["code"]), (&json!(4), &json!(2)));
    assert_eq!(attribute(first, "error.type")["stringValue"], "flaky");
    assert_eq!(attribute(first, "mesh.attempt")["intValue"], "1");
    assert_eq!(attribute(first, "messaging.operation.type")["stringValue"], "create");
    assert_eq!(attribute(first, "cloudevents.event_type")["stringValue"], "task.created");
    assert_eq!(first["events"][0]["name"], "exception");
    let linked: Vec<&Value> = first["links"].as_array().unwrap().iter().map(|link| &link["spanId"]).collect();
    let needed =
        ["fetch", "slow"].map(|task| SpanId::of_attempt(&run, &TaskId::new(task).unwrap(), Attempt::FIRST));
    assert_eq!(linked, needed.map(|id| json!(id.to_string())).iter().collect::<Vec<_>>());
    let second = spans.iter().find(|span| span["spanId"] == of(Attempt::FIRST.next())).unwrap();
    assert_eq!(second["links"][0]["spanId"], of(Attempt::FIRST));
    let work = SpanId::of_work(&run, &load, Attempt::FIRST, 1).to_string();
    let work = spans.iter().find(|span| span["spanId"] == work).unwrap();
    assert_eq!((&work["kind"], &work["parentSpanId"]), (&json!(5), &json!(of(Attempt::FIRST))));
    assert_eq!(attribute(work, "mesh.agent.id")["stringValue"], "worker-1");
}

#[test]
fn what_waits_for_a_loop_waits_for_all_of_its_items() {
    let mut events = Events::new();
    let begin = events.begin();
    for number in 0..200 {
        events.created(0, &format!("each:{number}"), 1, &begin);
        events.completed(10, &format!("each:{number}"), 1);
    }
    events.created(20, "last", 1, &begin);
    let mut story = events.story(100);
    story.tasks[200].needs = vec![TaskId::new("each").unwrap()];
    let last = SpanId::of_attempt(&story.run, &story.tasks[200].id, Attempt::FIRST).to_string();
    let spans = exported(&story);
    let last = spans.iter().find(|span| span["spanId"] == last.as_str()).unwrap();
    assert_eq!(last["links"].as_array().map(Vec::len), Some(128));
}

#[test]
fn the_trace_is_that_of_the_request_if_it_has_one() {
    let mut story = Events::new().told();
    let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    story.trace = mesh_schemas::TraceContext::new(given, Some("vendor=1"));
    story.settle(at(100));
    let spans = exported(&story);
    assert_eq!(spans[0]["traceId"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(spans[0]["parentSpanId"], "b7ad6b7169203331");
    assert_eq!(spans[0]["traceState"], "vendor=1");
    // What has not ended ends now.
    assert_eq!(spans[0]["endTimeUnixNano"], "1767225609999000000");
}
