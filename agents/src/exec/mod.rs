//! Tasks done by a program: one process for each.

mod command;
mod environment;
mod error;
mod exit;
mod group;
mod program;
mod runner;
mod stderr;
mod supervise;

pub use command::Exec;
pub use error::ExecError;
