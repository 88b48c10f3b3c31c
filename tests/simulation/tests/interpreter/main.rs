//! The interpreter against the fold of `mesh-core`: over random workflows and random logs they decide the same, each
//! decision from the same event.

mod again;
mod calm;
mod children;
mod closing;
mod constructs;
mod expressions;
mod log;
mod merges;
mod mislead;
mod pauses;
mod plans;
mod recovery;
mod rules;
mod storm;
mod world;
