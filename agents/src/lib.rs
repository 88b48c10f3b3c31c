//! Agents of the mesh in Rust.
//!
//! An agent is a handler for a capability; the rest is done here: taking work when there is room for it,
//! deadlines, cancellation, retries of what the network lost, heartbeats, traces, and an orderly stop.
//! A capability that a program or an HTTP service has needs no handler: see [`Exec`] and [`Http`].
//!
//! ```no_run
//! use mesh_agents::{Agent, Context, TaskFailure};
//!
//! #[derive(serde::Deserialize)]
//! struct Question { a: i64, b: i64 }
//!
//! async fn add(_ctx: Context, question: Question) -> Result<i64, TaskFailure> {
//!     question.a.checked_add(question.b).ok_or_else(|| TaskFailure::fatal("overflow", "the sum is too large"))
//! }
//!
//! # async fn example() -> Result<(), mesh_agents::AgentError> {
//! Agent::builder("calculator").capability("add", add).run().await
//! # }
//! ```

mod agent;
mod builder;
mod call;
mod cancel;
mod common;
mod context;
#[cfg(unix)]
mod exec;
mod execute;
mod failure;
mod handler;
mod http;
mod look;
mod observe;
mod outcome;
mod registry;
mod release;
mod runner;
mod secret;
mod stop;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
mod worker;

pub use self::http::{Http, HttpError};
pub use agent::{Agent, AgentError};
pub use builder::AgentBuilder;
pub use context::Context;
#[cfg(unix)]
pub use exec::{Exec, ExecError};
pub use failure::TaskFailure;
pub use handler::Output;
pub use mesh_bus::nats::ConnectOptions;
pub use mesh_schemas::payload::TaskCreated;
pub use mesh_telemetry::{Telemetry, init as init_tracing};
pub use runner::DEFAULT_OUTPUT_LIMIT;
pub use secret::Secrets;
pub use stop::stop_signal;
pub use tokio_util::sync::CancellationToken;
