use crate::ErrorCode;

use super::{Content, Entry, Node, Position, Problem, join, nearest};

/// An object of a text that is read key by key. It notes everything that is wrong with the object, unknown keys with
/// the nearest known one, among the problems of the text.
#[derive(Debug)]
pub struct Object<'n, 'p> {
    entries: &'n [Entry],
    /// Keys that are kept for what cannot be done yet.
    planned: &'p [&'p str],
    path: String,
    at: Position,
    has_unknown: bool,
    problems: &'p mut Vec<Problem>,
}

impl<'n, 'p> Object<'n, 'p> {
    /// Begins to read a part of a text as an object with these keys. `path` leads to it in the document: `tasks.risk`.
    /// `None` if it is no object.
    pub fn new(
        node: &'n Node,
        path: impl Into<String>,
        known: &[&str],
        problems: &'p mut Vec<Problem>,
    ) -> Option<Self> {
        Self::with_planned(node, path, known, &[], problems)
    }

    /// As [`Object::new`], and some keys are kept for what cannot be done yet.
    pub fn with_planned(
        node: &'n Node,
        path: impl Into<String>,
        known: &[&str],
        planned: &'p [&'p str],
        problems: &'p mut Vec<Problem>,
    ) -> Option<Self> {
        let path = path.into();
        let Content::Map(entries) = &node.content else {
            let message = node.unlike(&format!("an object with the keys {}", known.join(", ")));
            problems.push(Problem { code: ErrorCode::WrongValue, path, position: Some(node.at), message });
            return None;
        };
        let mut has_unknown = false;
        for Entry { key, at, .. } in entries {
            if !known.contains(&key.as_str()) {
                has_unknown = true;
                let (code, message) = unknown(key, known, planned);
                problems.push(Problem { code, path: path.clone(), position: Some(*at), message });
            }
        }
        Some(Self { entries, planned, path, at: node.at, has_unknown, problems })
    }

    /// The same object, with the place where a missing key is told: that of its own key, which in YAML stands a line
    /// above the object.
    #[must_use]
    pub fn found_at(mut self, at: Position) -> Self {
        self.at = at;
        self
    }

    /// The path of the value of a key.
    #[must_use]
    pub fn path_of(&self, key: &str) -> String {
        let mut path = self.path.clone();
        join(&mut path, key);
        path
    }

    /// Whether the key is there, whatever its value.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// The value of a key as it stands; an empty one is null.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Notes a problem with the value of a key.
    pub fn refuse(&mut self, key: &str, message: impl Into<String>) {
        let position = self.entry(key).map_or(self.at, |entry| entry.at);
        self.problem(ErrorCode::WrongValue, self.path_of(key), position, message.into());
    }

    /// Notes that the object lacks something, unless it has an unknown key, which may be the one that is missing.
    pub fn lacks(&mut self, message: impl Into<String>) {
        if !self.has_unknown {
            self.problem(ErrorCode::MissingKey, self.path.clone(), self.at, message.into());
        }
    }

    /// The value of a key that may be absent, but not without a value. What `read` refuses is a problem.
    pub fn optional<T>(&mut self, key: &str, read: impl FnOnce(&'n Node) -> Result<T, String>) -> Option<T> {
        let entry = self.entry(key)?;
        // An empty value would be read as an absent one by some and as null by others.
        if matches!(entry.value.content, Content::Null) {
            let message = "has no value: write one, or leave the key out".to_owned();
            self.problem(ErrorCode::MissingKey, self.path_of(key), entry.at, message);
            return None;
        }
        match read(&entry.value) {
            Ok(value) => Some(value),
            Err(message) => {
                self.problem(ErrorCode::WrongValue, self.path_of(key), entry.value.at, message);
                None
            }
        }
    }

    /// The value of a key that must be there; `advice` tells what belongs there.
    pub fn required<T>(
        &mut self,
        key: &str,
        advice: &str,
        read: impl FnOnce(&'n Node) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            // A key that is only misspelt was already told.
            if self.entries.iter().all(|entry| nearest(&entry.key, [key]).is_none()) {
                let message = format!("the key '{key}' is missing: {advice}");
                self.problem(ErrorCode::MissingKey, self.path.clone(), self.at, message);
            }
            return None;
        }
        self.optional(key, read)
    }

    /// The items of a list that may be absent, without those that `read` refuses.
    pub fn items<T>(&mut self, key: &str, read: impl Fn(&'n Node) -> Result<T, String>) -> Vec<T> {
        let items = self.optional(key, Node::items);
        let mut values = Vec::new();
        for (index, item) in items.unwrap_or_default().iter().enumerate() {
            match read(item) {
                Ok(value) => values.push(value),
                Err(message) => self.problem(
                    ErrorCode::WrongValue,
                    format!("{}[{index}]", self.path_of(key)),
                    item.at,
                    message,
                ),
            }
        }
        values
    }

    /// The value of a key that may be absent, read as an object with these keys.
    pub fn part_with<T>(
        &mut self,
        key: &str,
        known: &[&str],
        read: impl FnOnce(Object<'n, '_>) -> Option<T>,
    ) -> Option<T> {
        let node = self.optional(key, Ok)?;
        let path = self.path_of(key);
        let at = self.entry(key).map_or(self.at, |entry| entry.at);
        let part = Object::with_planned(node, path, known, self.planned, self.problems)?;
        read(part.found_at(at))
    }

    /// The problems of the text, to go on with what is no key of the object.
    #[must_use]
    pub fn into_problems(self) -> &'p mut Vec<Problem> {
        self.problems
    }

    fn problem(&mut self, code: ErrorCode, path: String, position: Position, message: String) {
        self.problems.push(Problem { code, path, position: Some(position), message });
    }
}

/// What to say about a key that is not one of the known ones.
fn unknown(key: &str, known: &[&str], planned: &[&str]) -> (ErrorCode, String) {
    if planned.contains(&key) {
        return (ErrorCode::NotSupported, format!("'{key}' is not supported yet: leave it out"));
    }
    if let Some((begin, value)) = key.split_once(':')
        && known.contains(&begin)
    {
        return (
            ErrorCode::UnknownKey,
            format!("unknown key '{key}': put a space behind the ':', '{begin}: {value}'"),
        );
    }
    let message = match nearest(key, known.iter().copied()) {
        Some(near) => format!("unknown key '{key}': did you mean '{near}'?"),
        None => format!("unknown key '{key}': the keys here are {}", known.join(", ")),
    };
    (ErrorCode::UnknownKey, message)
}
