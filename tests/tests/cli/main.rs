//! The binary `mesh` as people use it: what it prints where, and how it ends.

mod agents;
mod configuration;
mod dead;
mod doctor;
mod proof;
mod runners;
mod support;
mod up;
mod workflow;
