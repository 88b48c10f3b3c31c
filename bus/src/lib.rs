//! What the mesh needs of a message bus, as one small trait, and NATS JetStream behind it.
//!
//! - [`Bus`] is the trait: publish once, consume and acknowledge, read a run, keep small values by key.
//! - [`nats::NatsBus`] is its implementation on NATS JetStream.
//! - [`topology`] names the streams, consumers and buckets of a namespace as data.

mod bus;
mod clock;
mod consume;

mod error;
pub mod nats;

pub mod topology;

pub use bus::{Bus, Entry, Publish, RunLog, Service, Stored, Subscription, Watch};
pub use clock::BootInstant;
pub use consume::{Acker, ConsumerSpec, Deliveries, Delivery, Flow};

pub use error::{BusError, PublishError};

