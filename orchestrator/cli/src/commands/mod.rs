pub(crate) mod agents;
pub(crate) mod events;
pub(crate) mod orchestrator;
pub(crate) mod runs;
pub(crate) mod schema;
pub(crate) mod start;
pub(crate) mod up;
pub(crate) mod workflow;
