//! Runs of very many tasks, in sequence and side by side, on real NATS, with an orchestrator that is killed in the middle.
//!
//! What is tried in `make test` is a part of what is promised; `make huge` does all of it, and prints figures.

mod parallel;
mod sequence;
mod support;
