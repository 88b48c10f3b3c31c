//! The binary `mesh` as people use it: what it prints where, and how it ends.

mod configuration;
mod proof;
mod runners;
mod support;
