//! What the tests of the whole mesh share.

mod audit;
mod cargo;
pub mod chaos;
mod fifo;
mod process;
mod server;
mod world;

pub use audit::{Audit, until_idle};
pub use cargo::cargo_variables;
pub use fifo::Fifo;
pub use process::{Process, mesh_binary};
pub use server::{TestServer, server_binary, signal};
pub use world::{PATIENCE, Running, World, patiently};
