//! What a collector is told of runs: each process exports its spans to one that is a process of its own.

mod course;
mod kept;
mod lines;
mod place;
mod samples;
mod tree;
