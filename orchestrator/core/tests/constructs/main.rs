//! Groups, switches, loops, joins and tasks that stand in for others: what follows from which event.

mod children;
mod failures;
mod groups;
mod joins;
mod loops;
mod support;
