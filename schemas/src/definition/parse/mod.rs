//! Reads definitions from text, with positions.
//!
//! Text becomes a tree that knows where each part stands; the tree is then read against the model. So every
//! problem of a text is told at once, each with its place, whichever way the text is written.

mod keys;
mod read;

#[cfg(test)]
mod tests;

use super::Definition;
use crate::document::{Format, Positions, Problems, tree};

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
    let root = tree(text, format).map_err(|problem| Problems(vec![problem]))?;
    let (positions, mut problems) = root.survey();
    let definition = read::definition(&root, &mut problems);
    match definition {
        Some(definition) if problems.is_empty() => Ok((definition, positions)),
        _ => Err(Problems(problems).located(&positions)),
    }
}
