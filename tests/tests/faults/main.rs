//! What the mesh makes of faults, on real NATS: bad messages, dead processes, lost consumers. Each test has a server
//! of its own; after each fault the log must be as it should be, and a further run must complete.

mod agents;
mod clocks;
mod consumers;
mod forged;
mod garbage;
mod large;
mod orchestrators;
mod outcomes;
mod server;
mod shares;
mod size;
mod start;
mod support;
mod versions;
