use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep_until;

use super::server::MemoryServer;
use super::state::State;
use crate::error::BusError;

/// A connection to a [`MemoryServer`].
#[derive(Debug)]
pub struct MemoryBus {
    pub(super) server: MemoryServer,
    pub(super) line: Arc<Line>,
}

/// What a connection shares with its receivers.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) connection: u64,
    is_cut: AtomicBool,
}

impl Line {
    /// Returns if the connection is not cut, and never if it is.
    pub(super) async fn is_there(&self) {
        if self.is_cut.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

impl MemoryBus {
    pub(super) fn new(server: MemoryServer, connection: u64) -> Self {
        Self { server, line: Arc::new(Line { connection, is_cut: AtomicBool::new(false) }) }
    }

    /// As when the process at this end is killed: nothing that it has in hand is given back, and no call on this
    /// connection or on anything that came through it returns any more.
    pub fn cut(&self) {
        let mut state = self.server.lock();
        self.line.is_cut.store(true, Ordering::Relaxed);
        let (connection, now) = (self.line.connection, state.clock.now());
        for consumer in state.consumers.values_mut() {
            consumer.cut(connection, now);
        }
        state.subscriptions.retain(|listener| listener.connection != connection);
        state.services.retain(|(of, _), _| *of != connection);
    }

    /// Does something with what the server holds, if it can be reached.
    pub(super) async fn ask<T>(
        &self,
        operation: impl FnOnce() -> String,
        ask: impl FnOnce(&mut State) -> Result<T, BusError>,
    ) -> Result<T, BusError> {
        self.line.is_there().await;
        let mut state = self.server.lock();
        if !state.is_up {
            return Err(BusError::Unavailable {
                operation: operation(),
                error: "the server is away".to_owned(),
            });
        }
        ask(&mut state)
    }

    /// The error of whoever asks for something in a namespace that is not there.
    pub(super) fn not_set_up(&self) -> BusError {
        BusError::NotSetUp(self.server.namespace().to_string())
    }
}

/// Sleeps until a time by the server's clock; for ever if there is none.
pub(super) async fn sleep_until_due(server: &MemoryServer, due: Option<Duration>) {
    match due {
        Some(due) => sleep_until(server.clock().instant(due)).await,
        None => std::future::pending().await,
    }
}
