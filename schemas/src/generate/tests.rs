use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::catalogue::{EVENTS, PARAMETERS};
use super::{files, subject_table};
use crate::{AgentVerb, Namespace, PauseVerb, Subject, TaskVerb, WorkflowVerb};

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_files_in_the_repository_are_the_generated_ones() {
    for (path, text) in files() {
        let found = std::fs::read_to_string(folder().join(&path)).unwrap_or_default();
        assert!(
            found == text,
            "schemas/{path} is not as generated: run `mesh schema` and look at the difference"
        );
    }
}

#[test]
fn no_schema_is_left_over() {
    let generated: BTreeSet<String> = files().into_iter().map(|(path, _)| path).collect();
    for entry in std::fs::read_dir(folder().join("json")).expect("the folder is there") {
        let path = format!("json/{}", entry.expect("an entry").file_name().to_string_lossy());
        assert!(generated.contains(&path), "schemas/{path} belongs to no event: remove it");
    }
}

#[test]
fn the_readme_has_the_subject_table() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap_or_default();
    let table = subject_table();
    assert!(readme.contains(&table), "schemas/README.md must contain this table:\n{table}");
}

#[test]
fn every_form_is_a_subject_of_its_type() {
    for event in EVENTS {
        let mut text = format!("mesh.{}", event.subject);
        for parameter in PARAMETERS {
            text = text.replace(&format!("{{{}}}", parameter.name), parameter.example);
        }
        let subject = Subject::parse(&Namespace::default(), &text).expect(event.name);
        assert_eq!(subject.event_type(), event.name);
    }
}

/// Kinds of subject that are kept for later have no events yet.
#[test]
fn every_type_of_event_is_listed_once() {
    let mut types: Vec<String> = [
        "workflow.requested",
        "task.requested",
        "workflow.called",
        "workflow.signalled",
        "task.assigned",
        "task.released",
        "task.routed",
        "workflow.checkpointed",
        "request.rejected",
        "dead",
        "history",
        "history.late",
    ]
    .map(str::to_owned)
    .into();
    types.extend(WorkflowVerb::ALL.iter().map(|verb| format!("workflow.{verb}")));
    types.extend(PauseVerb::ALL.iter().map(|verb| format!("workflow.{verb}")));
    types.extend(TaskVerb::ALL.iter().map(|verb| format!("task.{verb}")));
    types.extend(AgentVerb::ALL.iter().map(|verb| format!("agent.{verb}")));
    types.extend(["set", "due", "fired"].map(|verb| format!("timer.{verb}")));
    types.sort();
    let mut listed: Vec<&str> = EVENTS.iter().map(|event| event.name).collect();
    listed.sort_unstable();
    assert_eq!(listed, types);
}

#[test]
fn every_parameter_is_described_and_used() {
    let used: BTreeSet<&str> =
        EVENTS.iter().flat_map(|event| event.parameters().map(|parameter| parameter.name)).collect();
    let described: BTreeSet<&str> = PARAMETERS.iter().map(|parameter| parameter.name).collect();
    assert_eq!(used, described);
    for event in EVENTS {
        assert_eq!(event.parameters().count(), event.subject.matches('{').count(), "{}", event.name);
    }
}

#[test]
fn schemas_say_what_they_are() {
    for (path, text) in files() {
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{path}");
        let Some(name) = path.strip_prefix("json/").and_then(|path| path.strip_suffix(".json")) else {
            continue;
        };
        let schema: Value = serde_json::from_str(&text).expect(&path);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{path}");
        assert_eq!(schema["$id"], format!("urn:mesh:schema:{name}:1"), "{path}");
        assert!(schema["title"].is_string() && schema["description"].is_string(), "{path}");
        assert!(jsonschema::draft202012::meta::is_valid(&schema), "{path}");
    }
}

#[test]
fn every_event_has_a_schema() {
    let paths: BTreeSet<String> = files().into_iter().map(|(path, _)| path).collect();
    for event in EVENTS {
        assert!(paths.contains(&format!("json/{}.json", event.name)), "{}", event.name);
    }
}
