//! Reads definitions from text, with positions.
//!
//! Text becomes a tree that knows where each part stands; the tree is then read against the model. So every
//! problem of a text is told at once, each with its place, whichever way the text is written.

mod keys;
mod read;
mod task;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Definition, Task};
use crate::document::{Format, Positions, Problem, Problems, tree};
use crate::name::TaskId;

/// Reads a definition.
///
/// # Errors
/// [`Problems`] lists everything that is wrong with the text.
pub fn parse(text: &str, format: Format) -> Result<Definition, Problems> {
    let Reading { definition, positions, problems } = read(text, format);
    match definition {
        Some(definition) if problems.is_empty() => Ok(definition),
        _ => Err(Problems(problems).located(&positions)),
    }
}

/// What a text says, as far as it can be read.
#[derive(Debug)]
pub struct Reading {
    /// The definition without what is wrong in it; none if a part is missing that everything else hangs on.
    pub definition: Option<Definition>,
    /// Where the parts stand in the text.
    pub positions: Positions,
    /// What is wrong with it so far.
    pub problems: Vec<Problem>,
}

/// Reads what can be read of a definition, so that the rest can be checked beside what is wrong already.
#[must_use]
pub fn read(text: &str, format: Format) -> Reading {
    let root = match tree(text, format) {
        Ok(root) => root,
        Err(problem) => {
            return Reading { definition: None, positions: Positions::default(), problems: vec![problem] };
        }
    };
    let (positions, mut problems) = root.survey();
    let definition = read::definition(&root, &mut problems);
    Reading { definition, positions, problems }
}

/// What an agent returned that plans.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The tasks by id.
    pub tasks: BTreeMap<TaskId, Task>,
    /// What they come to, as the output of a workflow.
    pub output: Option<Value>,
}

/// Reads what an agent returned that plans.
///
/// # Errors
/// Everything that is wrong with it, each with its path and without a position: nobody has the text.
pub fn graph(value: &Value) -> Result<Graph, Vec<Problem>> {
    let nowhere = |problem: Problem| Problem { position: None, ..problem };
    let root = tree(&value.to_string(), Format::Json).map_err(|problem| vec![nowhere(problem)])?;
    let (_, mut problems) = root.survey();
    match read::graph(&root, &mut problems) {
        Some(graph) if problems.is_empty() => Ok(graph),
        _ => Err(problems.into_iter().map(nowhere).collect()),
    }
}
