//! Groups, switches, loops, joins and tasks that stand in for others: what follows from which event.

mod config;
mod failures;
mod groups;
mod joins;
mod loops;
mod outputs;
mod support;
