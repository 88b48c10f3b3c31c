use mesh_schemas::definition::{Reading, read};
use mesh_schemas::document::{Format, Problem, Problems};
use mesh_schemas::{Definition, ErrorCode};

use super::Plan;

/// Reads a definition, checks it and compiles it; `further` checks what this crate cannot.
///
/// # Errors
/// Everything that is wrong with the text and with the workflow, each with its position.
pub fn check(
    text: &str,
    format: Format,
    further: impl FnOnce(&Definition) -> Vec<Problem>,
) -> Result<(Definition, Plan), Problems> {
    let Reading { definition, positions, mut problems } = read(text, format);
    let Some(definition) = definition else { return Err(Problems(problems).located(&positions)) };
    // What could not be read may be the very need that seems to be missing.
    let whole = problems.is_empty();
    problems.extend(further(&definition));
    let compiled = Plan::compile(&definition);
    match compiled {
        Ok(plan) if problems.is_empty() => return Ok((definition, plan)),
        Ok(_) => {}
        Err(more) => {
            problems
                .extend(more.into_iter().filter(|problem| whole || problem.code != ErrorCode::MissingNeed));
        }
    }
    Err(Problems(problems).located(&positions))
}
