//! From a task to its outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{StreamExt as _, TryStreamExt as _};
use mesh_schemas::{Capability, Lane};
use tokio::task::JoinSet;

use super::{Floor, failed};
use crate::bus::Bus as _;
use crate::error::BusError;
use crate::topology::agent_consumer;

impl Floor {
    /// Gives each task an outcome, so many at once of each capability.
    ///
    /// # Errors
    /// The first [`BusError`] of any kind; it does not end otherwise.
    pub async fn work(self, at_once: usize) -> Result<(), BusError> {
        let taken = Arc::new(AtomicU64::new(0));
        let mut parts = JoinSet::new();
        for name in self.course.names.clone() {
            parts.spawn(self.clone().serve(name, at_once, Arc::clone(&taken)));
        }
        super::first(parts).await
    }

    async fn serve(self, name: String, at_once: usize, taken: Arc<AtomicU64>) -> Result<(), BusError> {
        let capability = Capability::new(name).map_err(|error| failed("serve a capability", &error))?;
        let spec = agent_consumer(self.bus.namespace(), &capability, &Lane::Normal);
        let tasks = self.messages(&spec).await?;
        let (floor, taken) = (&self, &*taken);
        tasks
            // The client tells of a heartbeat that came late, and goes on.
            .filter_map(async |task| task.ok())
            .map(Ok)
            .try_for_each_concurrent(at_once, |task| async move {
                let assigned = task.subject.replacen(".task.created.", ".task.assigned.", 1) + ".1";
                floor.send(assigned, &floor.assigned).await?;
                let number = taken.fetch_add(1, Ordering::Relaxed);
                let fails = floor.course.fails(number) && task.subject.ends_with(".1");
                let verb = if fails { ".task.failed." } else { ".task.completed." };
                floor.store(task.subject.replacen(".task.created.", verb, 1), &floor.outcome).await?;
                task.ack().await.map_err(|error| failed("acknowledge", &error))
            })
            .await?;
        Err(failed("receive", &"the consumer ended"))
    }
}
