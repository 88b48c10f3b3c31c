//! Random work for the mesh, decided by one seed, and an independent opinion of what must come of it.
//!
//! A [`Workload`](workload::Workload) is workflows, the requests for runs of them, and what agents do with each attempt. The
//! [`interpreter`] reads the log of a run and says what follows from it by the documented rules alone: it shares no code
//! with `mesh-core`, so a mistake would have to be made twice to go unseen.

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
