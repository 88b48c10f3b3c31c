use std::collections::BTreeSet;

use mesh_schemas::TaskId;

/// What an expression or template uses.
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

impl References {
    pub(super) fn add(&mut self, other: &Self) {
        self.input |= other.input;
        self.run |= other.run;
        self.result |= other.result;
        self.tasks.extend(other.tasks.iter().cloned());
    }
}
