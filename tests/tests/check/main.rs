//! `mesh agent check`: every agent of ours keeps the rules of the contract, and an agent that breaks one is found out.

mod broken;
mod live;
mod ours;
mod support;
mod usage;
