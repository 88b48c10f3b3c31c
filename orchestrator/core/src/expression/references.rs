use std::collections::BTreeSet;

use mesh_schemas::TaskId;

/// What an expression uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// It uses `input`.
    pub input: bool,
    /// It uses `run`.
    pub run: bool,
    /// It uses `result`.
    pub result: bool,
    /// The tasks whose outputs it uses.
    pub tasks: BTreeSet<TaskId>,
}
