//! Texts that people write, as trees that know where each part stands; so every problem is told with its place,
//! whichever way the text is written.

mod json;
mod nearest;
mod node;
mod object;
mod problem;
mod scalar;
mod settings;
mod yaml;

pub use nearest::nearest;
pub use node::{Content, Entry, Node, join};
pub use object::Object;
pub use problem::{Position, Positions, Problem, Problems};
pub use settings::{Setting, settings};

use crate::ErrorCode;

/// Longest text that is read, in bytes: a workflow of 100 000 tasks with 300 bytes each. Its parts take some ten times
/// as much memory while it is read.
pub const MAX_TEXT_BYTES: usize = 32 * 1024 * 1024;

/// Deepest nesting of lists and objects, small enough that no reader's stack is in danger.
const MAX_DEPTH: usize = 64;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2: one document, without tags and merge keys.
    Yaml,
    /// JSON.
    Json,
}

impl Format {
    /// By the ending of a file's name: `.json` is JSON, all else YAML.
    #[must_use]
    pub fn of(file: &std::path::Path) -> Self {
        if file.extension().is_some_and(|ending| ending == "json") { Self::Json } else { Self::Yaml }
    }
}

/// Writes data as YAML.
#[must_use]
pub fn to_yaml(value: &impl serde::Serialize) -> String {
    // JSON is YAML too: should the writer refuse a value, nothing is lost but looks.
    serde_saphyr::to_string(value).unwrap_or_else(|_| serde_json::to_string_pretty(value).unwrap_or_default())
}

/// Reads a text.
///
/// # Errors
/// [`Problem`] if it is too long, or not written as `format` says.
pub fn tree(text: &str, format: Format) -> Result<Node, Problem> {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("the text has {} bytes; at most {MAX_TEXT_BYTES} are read", text.len());
        return Err(Problem { code: ErrorCode::Syntax, path: String::new(), position: None, message });
    }
    match format {
        Format::Yaml => yaml::tree(text),
        Format::Json => json::tree(text),
    }
}

/// A text that is not YAML or JSON at all.
fn malformed(position: Position, message: impl Into<String>) -> Problem {
    Problem {
        code: ErrorCode::Syntax,
        path: String::new(),
        position: Some(position),
        message: message.into(),
    }
}
