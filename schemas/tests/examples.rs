//! Every example is valid by the generated schemas, and the types read and write it without loss.

use std::collections::BTreeSet;
use std::path::Path;

use mesh_schemas::definition::parse;
use mesh_schemas::document::Format;
use mesh_schemas::generate::catalogue::{Body, EVENTS, EventType};
use mesh_schemas::generate::files;
use mesh_schemas::payload::{
    AgentDeregistered, AgentRegistered, CancelSignal, DeadLetter, History, RequestRejected, TaskAssigned,
    TaskCompleted, TaskCreated, TaskFailed, TaskProgress, TaskReleased, TaskRouted, TimerFired,
    WorkflowCalled, WorkflowCancelled, WorkflowCheckpointed, WorkflowCompleted, WorkflowFailed,
    WorkflowPaused, WorkflowResumed, WorkflowStarted,
};
use mesh_schemas::{Decoded, Definition, Envelope, Headers, Namespace, RequestId, RunId, Shards, Subject};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Every file of the folder with this extension: name without extension, and text.
fn examples(extension: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut examples: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("text"))
        })
        .collect();
    examples.sort();
    examples
}

fn example(name: &str) -> Value {
    let (_, text) = examples("json").into_iter().find(|(found, _)| found == name).expect(name);
    serde_json::from_str(&text).expect(name)
}

/// The event that an example is of, and whether it is bare.
fn event_of(name: &str) -> (&'static EventType, bool) {
    let bare = name.strip_suffix(".bare");
    let event = EVENTS.iter().find(|event| event.name == bare.unwrap_or(name));
    (event.unwrap_or_else(|| panic!("examples/{name}.json is named after no type of event")), bare.is_some())
}

fn assert_valid(schema: &str, instance: &Value, example: &str) {
    let path = format!("json/{schema}.json");
    let (_, text) = files().into_iter().find(|(found, _)| *found == path).expect(&path);
    let schema = serde_json::from_str(&text).expect(&path);
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect(&path);
    let errors: Vec<_> =
        validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{example} by {path}: {errors:#?}");
}

fn assert_round_trip<T: Serialize + DeserializeOwned>(data: &Value, example: &str) {
    let read: T = serde_json::from_value(data.clone()).expect(example);
    assert_eq!(serde_json::to_value(&read).expect(example), *data, "{example}");
}

/// The type of each event's data, as the types' documentation says.
fn assert_data_round_trip(event: &str, data: &Value) {
    let check: fn(&Value, &str) = match event {
        "workflow.requested" | "task.requested" => assert_round_trip::<Value>,
        "workflow.called" => assert_round_trip::<WorkflowCalled>,
        "workflow.started" => assert_round_trip::<WorkflowStarted>,
        "workflow.completed" => assert_round_trip::<WorkflowCompleted>,
        "workflow.failed" => assert_round_trip::<WorkflowFailed>,
        "workflow.cancelled" => assert_round_trip::<WorkflowCancelled>,
        "workflow.checkpointed" => assert_round_trip::<WorkflowCheckpointed>,
        "workflow.paused" => assert_round_trip::<WorkflowPaused>,
        "workflow.resumed" => assert_round_trip::<WorkflowResumed>,
        "workflow.signalled" => assert_round_trip::<CancelSignal>,
        "task.created" => assert_round_trip::<TaskCreated>,
        "task.completed" => assert_round_trip::<TaskCompleted>,
        "task.failed" => assert_round_trip::<TaskFailed>,
        "task.routed" => assert_round_trip::<TaskRouted>,
        "task.assigned" => assert_round_trip::<TaskAssigned>,
        "task.released" => assert_round_trip::<TaskReleased>,
        "task.cancelled" => assert_round_trip::<TaskFailed>,
        "task.progress" => assert_round_trip::<TaskProgress>,
        "timer.set" | "timer.due" | "timer.fired" => assert_round_trip::<TimerFired>,
        "agent.registered" | "agent.heartbeat" => assert_round_trip::<AgentRegistered>,
        "agent.deregistered" => assert_round_trip::<AgentDeregistered>,
        "request.rejected" => assert_round_trip::<RequestRejected>,
        "history" | "history.late" => assert_round_trip::<History>,
        other => panic!("say here which type the data of {other} has"),
    };
    check(data, event);
}

#[test]
fn every_type_of_event_has_an_example() {
    let names: BTreeSet<String> = examples("json").into_iter().map(|(name, _)| name).collect();
    for event in EVENTS {
        assert!(names.contains(event.name), "examples/{}.json is missing", event.name);
    }
}

#[test]
fn events_are_valid_and_round_trip() {
    for (name, text) in examples("json") {
        let value: Value = serde_json::from_str(&text).expect(&name);
        let (event, bare) = event_of(&name);
        match Envelope::decode(&Headers::new(), text.as_bytes()) {
            _ if matches!(event.body, Body::Original) => {}
            Ok(Decoded::Event(read)) if !bare => {
                assert_valid("envelope", &value, &name);
                assert_valid(event.name, &value["data"], &name);
                assert_eq!(serde_json::to_value(&read).expect(&name), value, "{name}");
                assert_data_round_trip(event.name, &read.data);
                // What is due is the message that was set, as it was.
                let type_ = if event.name == "timer.due" { "timer.set" } else { event.name };
                assert_eq!(read.type_, type_, "{name}");
            }
            Ok(Decoded::Bare(data)) if bare => {
                assert!(matches!(event.body, Body::Input | Body::EventOrBare(_)), "{name} must not be bare");
                assert_valid(event.name, &data, &name);
                assert_data_round_trip(event.name, &data);
            }
            other => panic!("{name} was read as {other:?}"),
        }
    }
}

#[test]
fn ids_of_run_events_are_their_subjects() {
    for (name, _) in examples("json") {
        let value = example(&name);
        let id = value["id"].as_str().unwrap_or_default();
        if id.starts_with("mesh.") {
            let subject = Subject::parse(&Namespace::default(), id).expect(&name);
            assert_eq!(Some(subject.event_type().as_str()), value["type"].as_str(), "{name}");
        }
    }
}

#[test]
fn a_dead_letter_is_an_event_in_binary_mode() {
    let example = example("dead");
    let mut headers = Headers::new();
    for (name, value) in example["headers"].as_object().expect("headers") {
        headers.set(name.clone(), value.as_str().expect("text").to_owned());
    }
    let body = example["body"].as_str().expect("text");
    let decoded = Envelope::decode(&headers, body.as_bytes()).expect("this one's body is JSON");
    let event = decoded.envelope().expect("binary mode");
    assert_eq!(event.type_, "dead");
    let extension = |name: &str| event.extensions[name].as_str().expect("headers are text");
    let letter = json!({
        "subject": event.subject,
        "stream": extension("stream"),
        "sequence": extension("sequence").parse::<u64>().expect("a number"),
        "reason": extension("reason"),
        "error": extension("error"),
        "storetime": extension("storetime"),
    });
    assert_valid("dead", &letter, "dead");
    assert_round_trip::<DeadLetter>(&letter, "dead");
}

#[test]
fn the_examples_tell_one_story() {
    let (request, started) = (example("workflow.requested"), example("workflow.started"));
    let id: RequestId = serde_json::from_value(started["data"]["request"].clone()).expect("a request");
    assert_eq!(
        (Some(id.source.as_str()), Some(id.id.as_str())),
        (request["source"].as_str(), request["id"].as_str())
    );
    let run = RunId::for_request("workflow.invoice-payment", &id, Shards::default());
    assert_eq!(started["id"], format!("mesh.workflow.started.invoice-payment.-.{run}"));
    assert_eq!(started["causationid"], request["id"]);
    assert_eq!(example("task.failed")["causationid"], example("task.created")["id"]);
    assert_eq!(example("timer.fired")["causationid"], example("task.failed")["id"]);
    assert_eq!(example("workflow.cancelled")["causationid"], example("workflow.signalled")["id"]);
    let (_, text) =
        examples("yaml").into_iter().find(|(name, _)| name == "invoice-payment").expect("a definition");
    let definition = parse(&text, Format::Yaml).expect("a definition");
    assert_eq!(started["data"]["digest"], definition.digest().as_str());
}

#[test]
fn definitions_are_valid_and_round_trip() {
    for (name, text) in examples("yaml") {
        let value: Value = serde_saphyr::from_str(&text).expect(&name);
        assert_valid("workflow-definition", &value, &name);
        let definition = parse(&text, Format::Yaml).expect(&name);
        assert_eq!(definition.name.as_str(), name);
        let written = serde_json::to_value(&definition).expect(&name);
        assert_valid("workflow-definition", &written, &name);
        assert_eq!(serde_json::from_value::<Definition>(written).expect(&name), definition);
    }
}
