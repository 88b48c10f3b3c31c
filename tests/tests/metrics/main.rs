//! What processes tell about themselves: metrics, health, and what is made of them.

mod endpoint;
mod names;
mod prometheus;
mod rules;
mod support;
