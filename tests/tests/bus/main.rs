//! What only the bus on NATS has: the server's other clients, its streams and consumers, users, limits and failures. What
//! it has in common with every bus is in the target `conformance`.

mod announce;
mod cluster;
mod consume;
mod health;
mod objects;
mod read;
mod recovery;
mod set_up;
mod support;
