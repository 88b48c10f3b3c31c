//! The whole mesh on a real NATS server: orchestrators, agents and clients. Each test has a server of its own.

mod agents;
mod children;
mod constructs;
mod control;
mod data;
mod flow;
mod large;
mod requests;
mod retention;
mod writes;
