//! What the mesh needs of a message bus, as one small trait, and NATS JetStream behind it.
//!
//! - [`Bus`] is the trait: publish once, consume and acknowledge, read a run, keep small values by key.
//! - [`nats::NatsBus`] is its implementation on NATS JetStream, [`memory::MemoryBus`] the one in this process.
//! - [`topology`] names the streams, consumers and buckets of a namespace as data.
//! - [`submit`] asks for a run, [`RunWaiter`] waits for its end, [`dead_letter()`] puts a message aside,
//!   [`read_whole_run`] reads a run from the log and from its [`history`].

mod bus;
mod clock;
mod consume;
mod dead_end;
mod dead_letter;
mod error;
mod health;
pub mod history;
mod key;
mod large;
pub mod memory;
pub mod nats;
mod object;
mod outcome;
mod patience;
mod persist;
mod request;
mod seldom;
pub mod topology;

pub use bus::{
    Bus, Entry, Follow, From, MAX_SHORT_RUN, OwnedObjects, Publish, Report, RunLog, Service, Stored,
    Subscription, Watch,
};
pub use clock::BootInstant;
pub use consume::{Acker, ConsumerSpec, Deliveries, Delivery, Flow};
pub use dead_end::DeadEnd;
pub use dead_letter::{Content, dead_letter, original};
pub use error::{BusError, PublishError};
pub use health::{
    Backlog, Connection, ConsumerHealth, ConsumerState, Fill, Health, Instance, Role, Server, Share,
    StreamHealth, StreamState, Usage,
};
pub use history::{History, WholeRun, read_whole_run};
pub use large::{ReferenceError, fetch, publish_event, whole, without_large};
pub use mesh_schemas::payload::Reason;
pub use outcome::{RunOutcome, RunWaiter};
pub use persist::{Persisted, persist};
pub use request::{Request, SubmitError, Target, run_id, run_of, submit};
