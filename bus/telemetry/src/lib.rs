//! What the processes of the mesh tell about themselves: log lines on stderr for people, and OpenTelemetry
//! spans and metrics for whoever collects them.
//!
//! - [`init()`] sets them up for a process.
//! - [`metrics`] has every metric; [`serve()`] tells them, and how the process is, to whoever asks.
//! - [`propagation`] carries the trace of one process on into the next.
//! - [`span`] has the spans that several crates open.
//! - [`Moment`] is a span of what is over when it is told.
//! - [`names`] has the names of span attributes, so that every crate spells them alike.
//!
//! No other crate uses the OpenTelemetry SDK.

mod export;
mod ids;
mod init;
mod log_form;
pub mod metrics;
mod moment;
pub mod names;
pub mod propagation;
mod sampling;
mod serve;
pub mod span;

pub use init::{SHUTDOWN_TIMEOUT, Telemetry, init, init_with_log};
pub use log_form::LogForm;
pub use moment::{Moment, connected_to, first, is_exporting, is_sampled};
pub use serve::{DEFAULT_ADDRESS, Endpoint, Problems, serve};
