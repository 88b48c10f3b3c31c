//! Groups, switches, loops, joins and tasks that stand in for others: what follows from which event.

mod children;
mod config;
mod failures;
mod finally;
mod groups;
mod joins;
mod loops;
mod merges;
mod origins;
mod outputs;
mod pauses;
mod plans;
mod reruns;
mod support;
