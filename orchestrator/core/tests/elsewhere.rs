//! Events whose data is elsewhere: how they are read, and what follows when it is lost.

use std::sync::Arc;

use chrono::DateTime;
use mesh_core::{Action, Content, Event, Fact, Plan, Run, Unreadable, given_up_as_lost, replay};
use mesh_schemas::definition;
use mesh_schemas::document::Format;
use mesh_schemas::payload::code;
use mesh_schemas::{DataRef, Headers, Message, Namespace, ObjectName, ObjectOwner, StoredMessage};
use serde_json::{Value, json};

const RUN: &str = "3.6ba7b810-9dad-11d1-80b4-00c04fd430c8";
const OTHER: &str = "3.6ba7b811-9dad-11d1-80b4-00c04fd430c8";

/// An event on a subject whose data, or a member of it, is an object of a run.
fn referring(sequence: u64, subject: &str, owner: &str, member: Option<&str>, data: Value) -> StoredMessage {
    let object = ObjectName::of(ObjectOwner::Run(owner.parse().expect("a run")), b"content");
    let member = member.map(ToOwned::to_owned);
    let reference = DataRef { bucket: "MESH_OBJECTS".to_owned(), object, member };
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "/test", "type": "any", "data": data,
        "dataref": reference.to_string(),
    });
    stored(sequence, subject, &event)
}

fn stored(sequence: u64, subject: &str, body: &Value) -> StoredMessage {
    let message = Message {
        subject: format!("mesh.{subject}"),
        headers: Headers::new(),
        payload: body.to_string().into_bytes().into(),
    };
    let time = DateTime::from_timestamp(1_700_000_000 + sequence as i64, 0).expect("a time");
    StoredMessage { message, sequence, time }
}

fn started(plan: &Plan) -> StoredMessage {
    started_without(plan, "input")
}

fn started_without(plan: &Plan, member: &str) -> StoredMessage {
    let mut data =
        json!({"digest": plan.digest, "rules": 1, "request": {"source": "test", "id": "1"}, "input": 1});
    data.as_object_mut().expect("an object").remove(member);
    referring(1, &format!("workflow.started.two.-.{RUN}"), RUN, Some(member), data)
}

fn completed(sequence: u64, owner: &str) -> StoredMessage {
    let subject = format!("task.completed.work.normal.{RUN}.a.1");
    referring(sequence, &subject, owner, Some("output"), json!({"agent": "a1"}))
}

fn read(stored: &StoredMessage, content: Content) -> Event {
    Event::read_with(&Namespace::default(), stored, content).expect("an event")
}

fn plan() -> Arc<Plan> {
    let yaml = "
mesh: v1
name: two
tasks: {a: {agent: work, retry: {max_attempts: 3}, on_failure: continue}, b: {agent: work, needs: [a], with: '${tasks.a.output}'}}
";
    let definition = definition::parse(yaml, Format::Yaml).expect("a definition");
    Arc::new(Plan::compile(&definition).expect("a plan"))
}

fn found(value: Value) -> Content {
    Content::Found(value)
}

fn gone() -> Content {
    Content::Lost("it is not there".to_owned())
}

#[test]
fn an_event_is_read_with_what_it_refers_to() {
    let (namespace, plan) = (Namespace::default(), plan());
    for stored in [started(&plan), completed(2, RUN)] {
        assert!(matches!(Event::read(&namespace, &stored), Err(Unreadable::Elsewhere(_))));
    }
    let Fact::Started(data) = read(&started(&plan), found(json!([1]))).fact else { panic!("another fact") };
    assert_eq!((data.data.input, data.lost), (json!([1]), None));
    let Fact::Completed(_, data) = read(&completed(2, RUN), found(json!("x"))).fact else {
        panic!("another fact")
    };
    assert_eq!((data.output, data.agent.map(|agent| agent.to_string())), (json!("x"), Some("a1".to_owned())));
    let subject = format!("task.completed.work.normal.{RUN}.a.1");
    let all = referring(2, &subject, RUN, None, Value::Null);
    assert!(matches!(read(&all, found(json!({"output": 1}))).fact, Fact::Completed(..)));
    // Nothing depends on the output of a run.
    let data = json!({"duration_ms": 1, "tasks": {"done": 1, "failed": 0, "skipped": 0}});
    let end = referring(3, &format!("workflow.completed.two.-.{RUN}"), RUN, Some("output"), data);
    let end = Event::read(&namespace, &end).expect("an event");
    assert_eq!((end.fact, end.defect), (Fact::Ended, None));
}

#[test]
fn an_outcome_that_refers_to_what_it_may_not_is_malformed() {
    let subject = format!("task.completed.work.normal.{RUN}.a.1");
    let web =
        json!({"specversion": "1.0", "id": "1", "source": "/x", "type": "any", "dataref": "https://x/y"});
    let failed = referring(2, &format!("task.failed.work.normal.{RUN}.a.1"), RUN, None, Value::Null);
    for stored in [completed(2, OTHER), stored(2, &subject, &web), failed] {
        let event = Event::read(&Namespace::default(), &stored).expect("it counts all the same");
        let Fact::Failed(_, error) = &event.fact else { panic!("another fact") };
        assert_eq!(error.code, code::MALFORMED_OUTCOME);
        assert!(event.defect.is_some_and(|defect| defect.contains("dataref")));
    }
}

#[test]
fn a_lost_result_is_given_up_and_fails_when_that_stands_in_the_log() {
    let plan = plan();
    let begin = read(&started(&plan), found(json!(1)));
    let Fact::Started(data) = &begin.fact else { panic!("another fact") };
    let (mut run, _) = Run::start(&begin, data, Arc::clone(&plan));
    let lost = read(&completed(2, RUN), gone());
    let step = run.apply(&lost);
    let [decision] = &step.decisions[..] else { panic!("{step:?}") };
    let Action::GiveUp(key, error) = &decision.action else { panic!("{decision:?}") };
    assert_eq!((error.code.as_str(), error.retryable), (code::LOST_OUTPUT, false));
    let failed = json!({"error": {"code": code::LOST_OUTPUT, "message": "gone", "retryable": false}});
    let failed = stored(3, &format!("task.failed.work.normal.{RUN}.a.1"), &failed);
    let failed = Event::read(&Namespace::default(), &failed).expect("an event");
    assert_eq!(failed.gives_up_as_lost(), Some(key));
    let step = run.apply(&failed);
    let created: Vec<_> = step.decisions.iter().map(|decision| &decision.action).collect();
    let [Action::Create(next, data)] = created[..] else { panic!("{created:?}") };
    assert_eq!((next.task.as_str(), &data.input), ("b", &Value::Null));
    // Whoever reads the log later reads it so, whatever is found by then.
    let log = [begin, lost, failed];
    assert!(given_up_as_lost(&log).contains(key));
    let (again, _) = replay(&plan, &log).expect("a run");
    assert_eq!(again, run);
}

#[test]
fn a_run_whose_beginning_is_lost_fails() {
    for (member, message) in [
        ("input", "the input of the run is lost: it is not there"),
        ("taken_over", "what the run takes over from another one is lost: it is not there"),
    ] {
        let plan = plan();
        let begin = read(&started_without(&plan, member), gone());
        let Fact::Started(data) = &begin.fact else { panic!("another fact") };
        assert_eq!(data.data.digest, plan.digest);
        let (run, step) = Run::start(&begin, data, Arc::clone(&plan));
        assert!(run.has_ended());
        let [decision] = &step.decisions[..] else { panic!("{step:?}") };
        let Action::End(mesh_core::End::Failed(failed)) = &decision.action else { panic!("{decision:?}") };
        assert_eq!((failed.error.code.as_str(), failed.error.message.as_str()), (code::LOST_INPUT, message));
    }
}
