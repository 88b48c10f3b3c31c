use serde::de::IgnoredAny;

use super::node::{Content, Entry, Node};
use super::{MAX_DEPTH, Position, Problem, malformed};

/// Reads a JSON text.
pub(crate) fn tree(text: &str) -> Result<Node, Problem> {
    // serde_json judges the syntax, and says well what is wrong with it; the scanner then only has to find
    // where the parts stand.
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| syntax(&error))?;
    Scanner { rest: text, line: 1, column: 1 }.value(0)
}

fn syntax(error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let position = Position { line: error.line().max(1), column: error.column().max(1) };
    let hint = match message {
        "key must be a string" => {
            ": write it in double quotes; after the last entry of an object comes no comma"
        }
        "trailing comma" => ": remove it, as none comes after the last entry",
        _ => "",
    };
    malformed(position, format!("{message}{hint}"))
}

/// Walks over a text that is known to be JSON.
struct Scanner<'a> {
    rest: &'a str,
    line: usize,
    column: usize,
}

impl<'a> Scanner<'a> {
    fn value(&mut self, depth: usize) -> Result<Node, Problem> {
        let first = self.peek();
        let at = self.position();
        if depth > MAX_DEPTH {
            return Err(malformed(at, format!("lists and objects are nested deeper than {MAX_DEPTH}")));
        }
        let content = match first {
            Some('{') => Content::Map(self.entries(depth)?),
            Some('[') => Content::List(self.items(depth)?),
            Some('"') => Content::Text(self.text()?),
            _ => {
                let end = self.rest.find([',', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(self.rest.len());
                match self.skip(end) {
                    "null" => Content::Null,
                    "true" => Content::Bool(true),
                    "false" => Content::Bool(false),
                    number => Content::Number(decode(number, at)?),
                }
            }
        };
        Ok(Node { at, content })
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<Entry>, Problem> {
        let mut entries = Vec::new();
        self.skip(1);
        while self.peek().is_some_and(|next| next != '}') {
            let at = self.position();
            let key = self.text()?;
            self.separator(':');
            let value = self.value(depth + 1)?;
            entries.push(Entry { key, at, value });
            self.separator(',');
        }
        self.skip(1);
        Ok(entries)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, Problem> {
        let mut items = Vec::new();
        self.skip(1);
        while self.peek().is_some_and(|next| next != ']') {
            items.push(self.value(depth + 1)?);
            self.separator(',');
        }
        self.skip(1);
        Ok(items)
    }

    fn text(&mut self) -> Result<String, Problem> {
        let at = self.position();
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|&(_, c)| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.map_or(self.rest.len(), |(index, _)| index + 1);
        decode(self.skip(end), at)
    }

    fn separator(&mut self, separator: char) {
        if self.peek() == Some(separator) {
            self.skip(1);
        }
    }

    /// The next character that is not white space.
    fn peek(&mut self) -> Option<char> {
        let space = self.rest.len() - self.rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        self.skip(space);
        self.rest.chars().next()
    }

    fn skip(&mut self, bytes: usize) -> &'a str {
        let (skipped, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        for c in skipped.chars() {
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.rest = rest;
        skipped
    }

    fn position(&self) -> Position {
        Position { line: self.line, column: self.column }
    }
}

fn decode<T: serde::de::DeserializeOwned>(text: &str, at: Position) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| malformed(at, syntax(&error).message))
}
