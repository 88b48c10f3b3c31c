//! Groups, switches, loops, joins and tasks that stand in for others: what follows from which event.

mod children;
mod failures;
mod finally;
mod groups;
mod joins;
mod loops;
mod merges;
mod pauses;
mod plans;
mod support;
