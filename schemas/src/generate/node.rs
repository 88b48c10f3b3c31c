//! A document whose keys keep their order, whatever map serde_json was built with.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Number, Value};

/// Keys of a schema that are written first, so that a reader sees at once what it is; the others follow sorted.
const FIRST: [&str; 6] = ["$schema", "$id", "$ref", "title", "description", "type"];
/// The key of a schema that is written last: what the rest refers to.
const LAST: &str = "$defs";

/// A part of a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A map in the order given.
    pub(super) fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    pub(super) fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// A reference to another part of the document.
    pub(super) fn reference(path: impl Into<String>) -> Self {
        Self::map([("$ref", Self::Text(path.into()))])
    }

    /// Indented JSON, with a newline at the end.
    pub(super) fn to_json(&self) -> String {
        // Text, numbers and lists of them can always be written.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// YAML, with a newline at the end.
    pub(super) fn to_yaml(&self) -> String {
        let text = serde_saphyr::to_string(self).unwrap_or_default();
        format!("{}\n", text.trim_end())
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Node {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(text),
            Value::Array(items) => Self::list(items.into_iter().map(Self::from)),
            Value::Object(map) => {
                let mut entries: Vec<_> = map.into_iter().collect();
                let place = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
                entries.sort_by(|(a, _), (b, _)| (a == LAST, place(a), a).cmp(&(b == LAST, place(b), b)));
                Self::map(entries.into_iter().map(|(key, value)| match value {
                    Value::String(text) if key == "description" => (key, Self::Text(unwrap_lines(&text))),
                    value => (key, Self::from(value)),
                }))
            }
        }
    }
}

/// A description comes from a documentation comment, whose lines end where the source file's do.
fn unwrap_lines(text: &str) -> String {
    let paragraphs: Vec<String> = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
    paragraphs.join("\n\n")
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => value.serialize(serializer),
            // `Number` itself is written in another way when a feature of serde_json is on.
            Self::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => value.serialize(serializer),
                (None, Some(value)) => value.serialize(serializer),
                (None, None) => number.as_f64().serialize(serializer),
            },
            Self::Text(text) => text.serialize(serializer),
            Self::List(items) => items.serialize(serializer),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}
