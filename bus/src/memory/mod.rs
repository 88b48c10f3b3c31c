//! The bus in this process: for tests, for simulations, and for trying a workflow out without a server.
//!
//! [`MemoryServer`] holds what a NATS server would, and [`MemoryBus`] is a connection to it. It does what the mesh
//! relies on in NATS JetStream: one suite of tests runs on both. Nothing is durable: when the process ends, all is gone.
//!
//! Time is tokio's. In a runtime whose clock is paused (`#[tokio::test(start_paused = true)]`) it jumps to whatever is
//! due next as soon as nobody has anything to do, so that waiting for a day takes no time.

mod backlog;
mod bus;
mod clock;
mod connection;
mod consumer;
mod deliveries;
mod filter;
mod health;
mod ids;
mod keys;
mod log;
mod message;
mod objects;
mod place;
mod read;
mod server;
mod services;
mod set_up;
mod state;
mod store;

pub use connection::MemoryBus;
pub use server::MemoryServer;
