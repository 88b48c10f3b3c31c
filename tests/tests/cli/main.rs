//! The binary `mesh` as people use it: what it prints where, and how it ends.

mod agents;
mod archived;
mod call;
mod cases;
mod configuration;
mod dead;
mod dead_ends;
mod doctor;
mod durable;
mod events;
mod full;
mod local;
mod mistakes;
mod new;
mod proof;
mod redrive;
mod runners;
mod runs;
mod spoken;
mod start;
mod support;
mod terminal;
mod up;
mod watch;
mod worker;
mod workflow;
