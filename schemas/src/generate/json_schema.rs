use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;

use super::Node;
use super::catalogue::{Body, EVENTS};
use crate::payload::DeadLetter;
use crate::{Definition, Envelope};

/// The schema of the envelope, of the workflow definition and of the data of every type of event, by name.
pub(super) fn schemas() -> Vec<(&'static str, Node)> {
    let mut schemas = vec![
        ("envelope", document("envelope", schema_of::<Envelope>)),
        ("workflow-definition", document("workflow-definition", schema_of::<Definition>)),
    ];
    for event in EVENTS {
        let node = match event.body {
            Body::Event(schema) | Body::EventOrBare(schema) => document(event.name, schema),
            Body::Original => document(event.name, schema_of::<DeadLetter>),
            Body::Input => any(event.name),
        };
        schemas.push((event.name, node));
    }
    schemas
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// A schema that stands by itself: the type at the top, the types it uses under `$defs`.
fn document(name: &str, schema: fn(&mut SchemaGenerator) -> Schema) -> Node {
    let mut generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let reference = schema(&mut generator);
    let mut definitions = generator.take_definitions(true);
    // The type itself is only referred to; its definition becomes the document.
    let title = reference.as_object().and_then(|object| object.get("$ref")?.as_str()?.rsplit('/').next());
    let own = title.and_then(|title| definitions.remove(title)).unwrap_or_default();
    let mut root = Schema::try_from(own).unwrap_or_default();
    if let Some(title) = title {
        root.insert("title".to_owned(), title.into());
    }
    if !definitions.is_empty() {
        root.insert("$defs".to_owned(), definitions.into());
    }
    head(root, name)
}

/// The schema of an input: any JSON.
fn any(name: &str) -> Node {
    let schema = json!({
        "title": "Input",
        "description": format!(
            "Data of `{name}`: any JSON. Whether it fits is told by the `input` schema of the workflow, or by the agent.",
        ),
    });
    head(Schema::try_from(schema).unwrap_or_default(), name)
}

fn head(mut schema: Schema, name: &str) -> Node {
    schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("$id".to_owned(), format!("urn:mesh:schema:{name}:1").into());
    Node::from(schema.to_value())
}
