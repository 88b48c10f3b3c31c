use std::collections::BTreeSet;

use mesh_schemas::TaskId;

/// What an expression uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// It uses `input`.
    pub input: bool,
    /// It uses `config`.
    pub config: bool,
    /// The keys of `config` that it names.
    pub config_keys: BTreeSet<String>,
    /// It uses `run`.
    pub run: bool,
    /// It uses `result`.
    pub result: bool,
    /// It uses `item`, `index` or `key`.
    pub item: bool,
    /// It uses `iteration` or `previous`.
    pub iteration: bool,
    /// The tasks that it uses something of.
    pub tasks: BTreeSet<TaskId>,
    /// The tasks of which it uses the outputs of all iterations.
    pub iterations: BTreeSet<TaskId>,
    /// The tasks of which it uses how good or how fast they were.
    pub measures: BTreeSet<TaskId>,
}
