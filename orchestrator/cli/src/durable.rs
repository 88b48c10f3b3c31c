//! Whether a power failure may cost something.

use clap::ValueEnum;
use mesh_bus::Health;
use mesh_schemas::ErrorCode;

use crate::failure::Failure;

/// Copies of everything that survive a power failure of one server.
const ENOUGH_COPIES: usize = 3;

/// What somebody wants of a power failure, or says about the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durable {
    /// It must lose nothing
    #[value(alias = "true")]
    Yes,
    /// It loses nothing, as every NATS server has sync_interval: always; this is written down
    Trust,
    /// It may lose the last writes; what was written down of the servers is struck out
    #[value(alias = "false")]
    No,
}

impl Durable {
    /// What is to be written down of the servers.
    pub(crate) fn written_down(self) -> Option<bool> {
        match self {
            Self::Yes => None,
            Self::Trust => Some(true),
            Self::No => Some(false),
        }
    }
}

/// Refuses servers that may lose something to a power failure, as far as a client can tell: there must be three copies
/// of everything, there already or asked for, or somebody's word for it that each write is forced onto the disk.
pub(crate) fn demand(health: &Health, asked_copies: usize) -> Result<(), Failure> {
    let copies = |found: Option<usize>| found.unwrap_or_default().max(asked_copies);
    let there = health.streams.iter().map(|stream| copies(stream.found.as_ref().map(|found| found.copies)));
    if health.synced || there.min().unwrap_or(asked_copies) >= ENOUGH_COPIES {
        return Ok(());
    }
    let message = "--durable: there is one copy of everything, and a client cannot see whether the NATS server forces each \
                   write onto the disk. Set `sync_interval: always` in the `jetstream` block of its configuration, start it \
                   anew, and say so once with --durable=trust; or use a cluster, with --replicas 3";
    Err(Failure::new(ErrorCode::NotDurable, message))
}
