use mesh_schemas::Definition;
use mesh_schemas::definition::parse_with_positions;
use mesh_schemas::document::{Format, Problems};

use super::Plan;

/// Reads a definition, checks it and compiles it.
///
/// # Errors
/// Everything that is wrong with the text or, if it can be read, with the workflow; each with its position.
pub fn check(text: &str, format: Format) -> Result<(Definition, Plan), Problems> {
    let (definition, positions) = parse_with_positions(text, format)?;
    let plan = Plan::compile(&definition).map_err(|problems| Problems(problems).located(&positions))?;
    Ok((definition, plan))
}
