//! The test kit: an agent, or a whole workflow, in a unit test of a few lines, without a server.
//!
//! - [`TestAgent`] gives one task to one agent: a handler, and all that an agent does around it.
//! - [`TestMesh`] runs workflows: the orchestrator and the agents that also run in production, mocks for what is not there,
//!   and failures on demand.
//!
//! ```
//! use mesh_agents::TaskFailure;
//! use mesh_agents::testing::{TestMesh, hours};
//! use serde_json::json;
//!
//! const APPROVAL: &str = "
//! mesh: v1
//! name: approval
//! timeout: 3d
//! output: '${tasks.notify.output}'
//! tasks:
//!   review: {agent: reviewer, timeout: 2d}
//!   notify: {agent: mail, needs: [review], with: {text: '${tasks.review.output.verdict}'}}
//! ";
//!
//! # /*
//! #[tokio::test(start_paused = true)]
//! # */
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() { a_slow_review().await }
//! async fn a_slow_review() {
//!     let mesh = TestMesh::of(APPROVAL);
//!     mesh.mock("reviewer", |_| Ok(json!({"verdict": "yes"}))).takes(hours(24));
//!     mesh.mock("mail", |input| Ok(json!({"sent": input["text"]})));
//!     mesh.agent_for("mail").fails_with(TaskFailure::retryable("busy", "try later")).once();
//!
//!     let run = mesh.run(json!({"document": 7})).await;
//!
//!     run.completed().with_output(json!({"sent": "yes"})).after(hours(24));
//!     run.task("notify").was_created(2).times().ran_after("review");
//! }
//! ```
//!
//! # In your crate
//!
//! ```toml
//! [dev-dependencies]
//! mesh-agents = { …, features = ["testing"] }
//! tokio = { version = "1", features = ["macros", "rt", "test-util", "time"] }
//! ```
//!
//! The feature is for dev-dependencies only: it brings the orchestrator along, which an agent in production has nothing to
//! do with.
//!
//! # Time
//!
//! `#[tokio::test(start_paused = true)]` begins a test with tokio's clock paused (that is what tokio's `test-util` is for).
//! It then jumps ahead whenever everybody waits, so a day takes a moment. What waits for the world outside, such as a program
//! ([`Exec`](crate::Exec)), a service ([`Http`](crate::Http)) or another thread's channel, does not count as waiting: the
//! clock jumps, and its time limit is over at once. Tests of such agents begin with a plain `#[tokio::test]`, and take the
//! time they take. [`tokio::task::spawn_blocking`] holds the clock while it runs.
//!
//! # What is real
//!
//! The orchestrator and the agents are those of production: retries, backoff, deadlines, redelivery after 30 s of silence,
//! conditions and expressions are theirs. What is not real is the bus, which is in this process and keeps nothing; and agents
//! here are in no registry. Agents in other languages are tried by `mesh agent check`, with their workflow but without a server
//! by `mesh start --local`, and definitions without any agent by `mesh workflow test`.

mod agent;
mod attend;
mod completed;
mod definition;
mod event;
mod events;
mod execution;
mod failed;
mod handler;
mod inner;
mod line;
mod mesh;
mod outcome;
mod pattern;
mod process;
mod recorder;
mod request;
mod run;
mod script;
mod served;
mod single;
mod story;
mod task;
#[cfg(test)]
mod tests;
mod time;

pub use agent::TestAgent;
pub use completed::{CompletedRun, CompletedTask};
pub use definition::IntoDefinition;
pub use event::Event;
pub use events::Events;
pub use failed::{CancelledRun, FailedRun, FailedTask, RejectedRequest};
pub use mesh::TestMesh;
pub use mesh_schemas::Definition;
pub use mesh_schemas::definition::TaskBuilder;
pub use outcome::TaskOutcome;
pub use request::Request;
pub use run::Run;
pub use script::{Script, Step};
pub use single::TestTask;
pub use task::{RunTask, Times};
pub use time::{days, hours, minutes, seconds};
