//! What the processes of the mesh tell about themselves: log lines on stderr for people, and OpenTelemetry
//! spans for whoever collects them.
//!
//! - [`init()`] sets up both for a process.
//! - [`propagation`] carries the trace of one process on into the next.
//! - [`span`] has the spans that several crates open.
//! - [`names`] has the names of span attributes, so that every crate spells them alike.
//!
//! No other crate uses the OpenTelemetry SDK.

mod export;
mod init;
pub mod names;
pub mod propagation;
pub mod span;

pub use init::{SHUTDOWN_TIMEOUT, Telemetry, init, init_with_log};
