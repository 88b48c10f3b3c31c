use std::sync::Arc;

use mesh_bus::memory::{MemoryBus, MemoryServer};
use tokio::task::AbortHandle;

/// What a process is to a test: a connection of its own, and what runs on it. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    bus: Arc<MemoryBus>,
    task: AbortHandle,
}

impl Process {
    pub(super) fn start<F>(server: &MemoryServer, run: impl FnOnce(Arc<MemoryBus>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let bus = server.connect();
        let task = tokio::spawn(run(Arc::clone(&bus))).abort_handle();
        Self { bus, task }
    }
}

impl Drop for Process {
    /// Cuts the connection first, so that nothing which runs on for a moment reaches anyone.
    fn drop(&mut self) {
        self.bus.cut();
        self.task.abort();
    }
}
