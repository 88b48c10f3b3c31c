//! Reads definitions from text, with positions.
//!
//! Text becomes a tree that knows where each part stands; the tree is then read against the model. So every
//! problem of a text is told at once, each with its place, whichever way the text is written.

mod json;
mod keys;
mod node;
mod read;
mod yaml;

#[cfg(test)]
mod tests;

pub use keys::nearest;

use super::{Definition, Position, Positions, Problem, Problems};

/// Longest text of a definition, in bytes: what NATS takes as one message by default.
pub const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// Deepest nesting of lists and objects, small enough that no reader's stack is in danger.
const MAX_DEPTH: usize = 64;

/// How a definition is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2: one document, without tags and merge keys.
    Yaml,
    /// JSON.
    Json,
}

/// Reads a definition.
///
/// # Errors
/// [`Problems`] lists everything that is wrong with the text.
pub fn parse(text: &str, format: Format) -> Result<Definition, Problems> {
    parse_with_positions(text, format).map(|(definition, _)| definition)
}

/// Reads a definition, and tells where its parts stand in the text.
///
/// # Errors
/// [`Problems`] lists everything that is wrong with the text.
pub fn parse_with_positions(text: &str, format: Format) -> Result<(Definition, Positions), Problems> {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("the definition has {} bytes; at most {MAX_TEXT_BYTES} are read", text.len());
        return Err(Problems(vec![Problem { path: String::new(), position: None, message }]));
    }
    let root = match format {
        Format::Yaml => yaml::tree(text),
        Format::Json => json::tree(text),
    };
    let root = root.map_err(|problem| Problems(vec![problem]))?;
    let (positions, mut problems) = root.survey();
    let definition = read::definition(&root, &mut problems);
    match definition {
        Some(definition) if problems.is_empty() => Ok((definition, positions)),
        _ => Err(Problems(problems).located(&positions)),
    }
}

/// A text that is not YAML or JSON at all.
fn malformed(position: Position, message: impl Into<String>) -> Problem {
    Problem { path: String::new(), position: Some(position), message: message.into() }
}
