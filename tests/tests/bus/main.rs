//! The bus on a real NATS server.

mod announce;
mod consume;
mod dead;
mod health;
mod keys;
mod read;
mod recovery;
mod set_up;
mod store;
mod support;
mod wait;
