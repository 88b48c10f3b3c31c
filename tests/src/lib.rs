//! What the tests of the whole mesh share.

mod audit;
mod cargo;
pub mod chaos;
mod cluster;
mod collector;
mod fifo;
mod gate;
mod process;
mod server;
mod world;

pub use audit::{Audit, until_idle};
pub use cargo::cargo_variables;
pub use cluster::{Cluster, SERVERS};
pub use collector::{Collector, Span};
pub use fifo::Fifo;
pub use gate::Gate;
pub use process::{Process, beside_tests, mesh_binary};
pub use server::{TestServer, server_binary, signal};
pub use world::{PATIENCE, Running, World, patiently};
