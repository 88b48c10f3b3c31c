use serde_json::{Number, Value};

use crate::ErrorCode;

use super::{Position, Positions, Problem};

/// A part of a text, and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub content: Content,
}

/// What a part of a text is.
#[derive(Debug, Clone)]
pub enum Content {
    /// Null, or nothing at all.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// An object, its keys as they stand: one may be there twice.
    Map(Vec<Entry>),
}

/// A key of an object with its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub at: Position,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The plain data. The last of several equal keys counts; they are problems anyway.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Content::Map(entries) => {
                Value::Object(entries.iter().map(|e| (e.key.clone(), e.value.to_value())).collect())
            }
        }
    }

    /// What it is, in words that follow "found".
    pub(crate) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Null => "nothing",
            Content::Bool(_) => "a boolean",
            Content::Number(_) => "a number",
            Content::Text(_) => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "an object",
        }
    }

    /// How many nodes it is made of, itself included.
    pub(crate) fn count(&self) -> usize {
        1 + match &self.content {
            Content::List(items) => items.iter().map(Self::count).sum(),
            Content::Map(entries) => entries.iter().map(|entry| entry.value.count()).sum(),
            _ => 0,
        }
    }

    /// How many lists and objects stand inside each other here.
    pub(crate) fn depth(&self) -> usize {
        match &self.content {
            Content::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or_default(),
            Content::Map(entries) => 1 + entries.iter().map(|e| e.value.depth()).max().unwrap_or_default(),
            _ => 0,
        }
    }

    /// The positions of all parts, and the keys that are there twice.
    #[must_use]
    pub fn survey(&self) -> (Positions, Vec<Problem>) {
        let mut positions = Positions::default();
        let mut problems = Vec::new();
        positions.insert("", self.at);
        self.visit(&mut String::new(), &mut positions, &mut problems);
        (positions, problems)
    }

    fn visit(&self, path: &mut String, positions: &mut Positions, problems: &mut Vec<Problem>) {
        let length = path.len();
        match &self.content {
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push_str(&format!("[{index}]"));
                    positions.insert(path, item.at);
                    item.visit(path, positions, problems);
                    path.truncate(length);
                }
            }
            Content::Map(entries) => {
                let mut seen = std::collections::BTreeMap::new();
                for entry in entries {
                    if let Some(first) = seen.insert(&entry.key, entry.at) {
                        problems.push(Problem {
                            code: ErrorCode::Duplicate,
                            path: path.clone(),
                            position: Some(entry.at),
                            message: format!("the key '{}' is already there, at {first}", entry.key),
                        });
                    }
                    join(path, &entry.key);
                    positions.insert(path, entry.place());
                    entry.value.visit(path, positions, problems);
                    path.truncate(length);
                }
            }
            _ => {}
        }
    }
}

impl Entry {
    /// A scalar is found at itself, a list or an object at its key: in YAML it begins a line below.
    fn place(&self) -> Position {
        match self.value.content {
            Content::List(_) | Content::Map(_) | Content::Null => self.at,
            _ => self.value.at,
        }
    }
}

/// Appends a key to a path.
pub fn join(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}
