use std::collections::BTreeMap;
use std::fmt;

use crate::ErrorCode;

/// A place in a text, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem it is.
    pub code: ErrorCode,
    /// Where in the document: `tasks.risk.when`; empty for the whole.
    pub path: String,
    /// Where in the text, if it came from one.
    pub position: Option<Position>,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.position {
            write!(f, "{position}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with a text; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Gives each problem that has no position the one of its path, and orders the problems as in the text.
    #[must_use]
    pub fn located(mut self, positions: &Positions) -> Self {
        for problem in &mut self.0 {
            problem.position = problem.position.or_else(|| positions.of(&problem.path));
        }
        self.0.sort_by_key(|problem| problem.position);
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// Where the parts of a document stand in its text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<String, Position>);

impl Positions {
    /// The position of the part at a path such as `tasks.risk.needs[0]`; of the nearest part around it if the text
    /// has nothing at the path itself.
    #[must_use]
    pub fn of(&self, path: &str) -> Option<Position> {
        let mut path = path;
        loop {
            if let Some(position) = self.0.get(path) {
                return Some(*position);
            }
            if path.is_empty() {
                return None;
            }
            path = path.rfind(['.', '[']).map_or("", |end| &path[..end]);
        }
    }

    /// The first of several parts at one path counts: the others are duplicates.
    pub(super) fn insert(&mut self, path: &str, position: Position) {
        if !self.0.contains_key(path) {
            self.0.insert(path.to_owned(), position);
        }
    }
}
