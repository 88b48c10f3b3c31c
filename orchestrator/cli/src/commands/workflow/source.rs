//! Definitions, and their cases, in files and on stdin.

use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context as _;
use mesh_orchestrator::definitions;
use mesh_schemas::document::{Format, Problems};
use mesh_schemas::{Definition, ErrorCode};

use crate::failure::Failure;

/// A file, or stdin for `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    File(PathBuf),
    Stdin,
}

impl FromStr for Source {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::Stdin } else { Self::File(text.into()) })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdin => f.write_str("stdin"),
        }
    }
}

impl Source {
    /// The text, and how it is written; `what` it is of, for errors.
    pub(super) fn text(&self, what: &str) -> anyhow::Result<(String, Format)> {
        match self {
            Self::File(path) => {
                let text = std::fs::read_to_string(path).with_context(|| unreadable(what, self))?;
                Ok((text, Format::of(path)))
            }
            Self::Stdin => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).with_context(|| unreadable(what, self))?;
                // Nothing says how it is written. What is not JSON is told as YAML, which people write.
                let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
                Ok((text, if is_json { Format::Json } else { Format::Yaml }))
            }
        }
    }

    /// Reads and checks the definition; `None` if it has problems, which are then on stderr.
    pub(crate) fn read(&self) -> anyhow::Result<Option<Definition>> {
        let (text, format) = self.text("definition")?;
        match definitions::check(&text, format) {
            Ok(definition) => Ok(Some(definition)),
            Err(problems) => {
                self.tell(&problems);
                Ok(None)
            }
        }
    }

    /// Tells on stderr what is wrong with the text.
    pub(super) fn tell(&self, problems: &Problems) {
        for problem in &problems.0 {
            let colon = if problem.position.is_some() { ":" } else { ": " };
            eprintln!("{self}{colon}{problem} [{}]", problem.code);
        }
    }
}

fn unreadable(what: &str, source: &Source) -> Failure {
    Failure::new(ErrorCode::UnreadableFile, format!("cannot read the {what} from {source}"))
}

/// Reads every source; `None` if one has problems, after all problems of all are on stderr.
pub(super) fn read_all(sources: &[Source]) -> anyhow::Result<Option<Vec<(&Source, Definition)>>> {
    let mut definitions = Some(Vec::new());
    for source in sources {
        match (source.read()?, &mut definitions) {
            (Some(definition), Some(definitions)) => definitions.push((source, definition)),
            (Some(_), None) => {}
            (None, _) => definitions = None,
        }
    }
    Ok(definitions)
}

/// What a definition is, in one line.
pub(super) fn summary(definition: &Definition) -> String {
    let tasks = definition.size();
    let plural = if tasks == 1 { "" } else { "s" };
    format!("{} ({tasks} task{plural}, {})", definition.name, definition.digest())
}
