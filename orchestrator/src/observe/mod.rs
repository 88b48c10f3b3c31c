//! What an orchestrator tells about itself: figures for metrics, and what is wrong in words.

mod count;
mod figures;
mod look;
mod outlook;

pub(crate) use count::{began, conflict, created, ended, follows, letter, outcome, rejected, settled};
pub(crate) use figures::{Figures, Open, Out, Outcomes};
pub(crate) use look::{FIGURES, run};
pub use outlook::Outlook;
pub(crate) use outlook::problems;
