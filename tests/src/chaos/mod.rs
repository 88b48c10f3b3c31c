//! A mesh of real processes under steady load, with processes killed, stopped in their tracks and restarted at random,
//! and an account of what became of it.
//!
//! What happens is drawn from a seed; when it happens is up to the machine, so a seed brings back the same faults and
//! not the same interleaving.

mod account;
mod campaign;
mod cast;
mod executions;
mod faults;
mod load;
mod servers;

pub use account::Account;
pub use campaign::{Campaign, run};
pub use executions::Execution;
pub use load::Order;
pub use servers::Servers;

use std::time::{SystemTime, UNIX_EPOCH};

/// The time of day in milliseconds, by which what processes of one machine did is put in order.
#[must_use]
pub fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
