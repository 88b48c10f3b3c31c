//! The whole mesh in one thread, in a storm, all decided by one seed; and an independent opinion of what must come of it.
//!
//! - A [`Workload`](workload::Workload) is workflows, the requests for runs of them, and what agents do with each attempt; a
//!   [`Storm`] is what goes wrong meanwhile. Both together are a [`Scenario`], which is played by real orchestrators and
//!   agents on the bus in this process.
//! - The [`interpreter`] reads the log of a run and says what follows from it by the documented rules alone: it shares no
//!   code with `mesh-core`, so a mistake would have to be made twice to go unseen.
//! - A [`Campaign`] plays many seeds. A [`Sabotage`] breaks a rule on purpose, to see that it is noticed.
//!
//! What is played, what is checked and how to look into a seed that fails: `README.md` beside this crate.

mod campaign;
mod check;
pub mod interpreter;
mod sabotage;
mod scenario;
mod storm;
pub mod workload;
mod world;

pub use campaign::{Campaign, Report};
pub use sabotage::Sabotage;
pub use scenario::{Failure, Scenario};
pub use storm::{Pace, Storm};
pub use world::{Figures, Violation};
