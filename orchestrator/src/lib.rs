//! The orchestrator: a service without state of its own that follows every run through the log.
//!
//! For each event it folds the run, stores what follows, and only then acknowledges the event. Any number of
//! orchestrators may run side by side; which of them handles an event changes nothing but speed.

mod capabilities;
pub mod definitions;
mod encode;
mod flights;
mod janitor;
mod lease;
pub mod log;
mod observe;
mod peers;
mod pressure;
pub mod rehearsal;
mod relay;
mod route;
mod service;
mod shard;
mod store;
mod trace;

pub use definitions::Definitions;
pub use encode::source;
pub use observe::Outlook;
pub use peers::{OrchestratorReport, Untidy};
pub use pressure::{NEARLY_FULL, PART, ROOM};
pub use service::{
    Folded, Options, OrchestratorError, Retention, SERVICE, run, run_observed, run_telling, run_with,
};
