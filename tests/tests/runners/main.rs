//! The ready-made runners on a real NATS server: programs and HTTP services that do tasks. Each test has a server of
//! its own.

mod exec;
mod http;
mod leftovers;
mod service;
mod support;
mod tls;
