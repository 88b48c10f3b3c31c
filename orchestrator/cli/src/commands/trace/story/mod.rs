//! The course of a run, made of its events alone.

mod fact;
mod model;
mod path;
mod tell;
#[cfg(test)]
pub(crate) mod tests;
mod waits;

pub(crate) use fact::Fact;
pub(crate) use model::{AttemptStory, Outcome, Story, TaskStory};
pub(crate) use path::{Kind, Path};
