//! The AsyncAPI 3.0.0 document. Payload schemas are inlined as JSON Schema draft 7, which every parser reads; the
//! 2020-12 ones are files of their own.

use schemars::generate::SchemaSettings;
use schemars::{SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::Node;
use super::catalogue::{Action, Body, EVENTS, EventType, Parameter, Role, Writer};
use crate::Envelope;

const DESCRIPTION: &str = "\
The events by which agents, orchestrators and other systems work together over NATS JetStream. Subjects begin with the \
namespace, `mesh` unless it was set up otherwise. Events are CloudEvents 1.0 in structured mode; requests, signals \
and outcomes may also be in binary mode or be the bare data. Operations are seen from outside the orchestrator: from an \
agent, or from a client that asks for work or looks on.";

/// The whole document.
pub(super) fn document() -> Node {
    let mut generator = SchemaSettings::draft07()
        .for_deserialize()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let messages: Vec<_> = EVENTS.iter().flat_map(|event| messages(event, &mut generator)).collect();
    let schemas = Node::from(Value::Object(generator.take_definitions(true)));
    Node::map([
        ("asyncapi", "3.0.0".into()),
        ("id", "urn:mesh:asyncapi:1".into()),
        (
            "info",
            Node::map([
                ("title", "The mesh".into()),
                ("version", "1.0.0".into()),
                ("description", DESCRIPTION.into()),
                ("license", Node::map([("name", "Apache-2.0".into())])),
                ("tags", Node::list([Role::Agent, Role::Client].map(tag))),
            ]),
        ),
        ("defaultContentType", "application/cloudevents+json".into()),
        (
            "servers",
            Node::map([(
                "nats",
                Node::map([
                    ("host", "localhost:4222".into()),
                    ("protocol", "nats".into()),
                    ("description", "A NATS server from 2.14 with JetStream.".into()),
                ]),
            )]),
        ),
        ("channels", Node::map(EVENTS.iter().map(|event| (camel(event.name), channel(event))))),
        ("operations", Node::map(EVENTS.iter().filter_map(operation))),
        (
            "components",
            Node::map([
                ("messages", Node::map(messages)),
                ("messageTraits", Node::map([("event", message_trait())])),
                ("schemas", schemas),
            ]),
        ),
    ])
}

fn channel(event: &EventType) -> Node {
    let stored = match event.stream {
        Some(stream) => ("x-nats-stream", Node::from(format!("MESH_{stream}"))),
        None => ("x-nats-core", Node::Bool(true)),
    };
    let messages = message_names(event)
        .map(|name| (name.clone(), Node::reference(format!("#/components/messages/{name}"))));
    Node::map([
        ("address", Node::from(format!("mesh.{}", event.subject))),
        ("description", event.description.into()),
        ("messages", Node::map(messages)),
        ("parameters", Node::map(event.parameters().map(|parameter| (parameter.name, describe(parameter))))),
        stored,
        ("x-writers", Node::list(event.writers.iter().copied().map(Writer::as_str).map(Node::from))),
    ])
}

fn describe(parameter: &Parameter) -> Node {
    let mut entries = vec![("description", Node::from(parameter.description))];
    if !parameter.values.is_empty() {
        entries.push(("enum", Node::list(parameter.values.iter().copied().map(Node::from))));
    }
    entries.push(("examples", Node::list([parameter.example.into()])));
    Node::map(entries)
}

fn operation(event: &EventType) -> Option<(String, Node)> {
    let (action, role) = event.operation?;
    let action = match action {
        Action::Send => "send",
        Action::Receive => "receive",
    };
    let channel = camel(event.name);
    let name = camel(&format!("{action}.{}", event.name));
    let messages = message_names(event)
        .map(|message| Node::reference(format!("#/channels/{channel}/messages/{message}")));
    let node = Node::map([
        ("action", action.into()),
        ("channel", Node::reference(format!("#/channels/{channel}"))),
        ("summary", event.description.into()),
        ("tags", Node::list([tag(role)])),
        ("messages", Node::list(messages)),
    ]);
    Some((name, node))
}

fn tag(role: Role) -> Node {
    Node::map([("name", role.as_str().into())])
}

/// The names of an event's messages: the event, and the bare data where that is accepted.
fn message_names(event: &EventType) -> impl Iterator<Item = String> + use<> {
    let name = camel(event.name);
    let bare = matches!(event.body, Body::Input | Body::EventOrBare(_)).then(|| format!("{name}Bare"));
    std::iter::once(name).chain(bare)
}

fn messages(event: &EventType, generator: &mut SchemaGenerator) -> Vec<(String, Node)> {
    let data = match event.body {
        Body::Input => json_schema!({ "description": "The input, any JSON." }),
        Body::Event(schema) | Body::EventOrBare(schema) => schema(generator),
        Body::Original => return vec![(camel(event.name), dead_letter(event))],
    };
    let data = Node::from(data.to_value());
    // NATS copies the body of `timer.set`, so a timer that is due says so by its subject alone.
    let type_ = if event.name == "timer.due" { "timer.set" } else { event.name };
    let envelope = Node::from(generator.subschema_for::<Envelope>().to_value());
    let properties = Node::map([("type", Node::map([("const", type_.into())])), ("data", data.clone())]);
    let payload = Node::map([(
        "allOf",
        Node::list([envelope, Node::map([("type", "object".into()), ("properties", properties)])]),
    )]);
    let with_trait = ("traits", Node::list([Node::reference("#/components/messageTraits/event")]));
    let event_message =
        head(event, "application/cloudevents+json", [with_trait.clone(), ("payload", payload)]);
    let bare_message = head(event, "application/json", [with_trait, ("payload", data)]);
    message_names(event).zip([event_message, bare_message]).collect()
}

fn head(event: &EventType, content_type: &str, rest: impl IntoIterator<Item = (&'static str, Node)>) -> Node {
    let head = [
        ("name", Node::from(event.name)),
        ("summary", event.description.into()),
        ("contentType", content_type.into()),
    ];
    Node::map(head.into_iter().chain(rest))
}

fn message_trait() -> Node {
    let headers = Node::from(json!({
        "type": "object",
        "properties": {
            "traceparent": {
                "type": "string",
                "description": "W3C Trace Context of the hop that sent the message.",
                "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}",
            },
            "tracestate": { "type": "string", "description": "Goes with `traceparent`." },
        },
    }));
    Node::map([("headers", headers)])
}

fn dead_letter(event: &EventType) -> Node {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let headers = Node::from(json!({
        "type": "object",
        "required": ["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-stream", "ce-sequence", "ce-reason", "ce-error"],
        "properties": {
            "ce-specversion": { "const": "1.0" },
            "ce-id": text("Stream and sequence of the message: `MESH_EVENTS/42`."),
            "ce-source": text("Who gave the message up."),
            "ce-type": { "const": "dead" },
            "ce-subject": text("Subject that the message was found on."),
            "ce-stream": text("The stream that it was found in, in lower case."),
            "ce-sequence": text("Its sequence in that stream."),
            "ce-storetime": text("When it was stored there, as RFC 3339 has it."),
            "ce-reason": text("Why, stable and short."),
            "ce-error": text("What exactly is wrong."),
            "ce-dataref": text("Where the message is, if it is too large for the letter: `nats:<STREAM>/<sequence>`."),
        },
    }));
    let payload = Node::map([("description", "The message as it was found, byte by byte.".into())]);
    head(event, "application/octet-stream", [("headers", headers), ("payload", payload)])
}

/// `task.completed` as `taskCompleted`.
fn camel(name: &str) -> String {
    let mut words = name.split('.');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(1);
        camel.push_str(&first.to_uppercase());
        camel.push_str(rest);
    }
    camel
}
