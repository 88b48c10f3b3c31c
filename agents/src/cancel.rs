//! Who is to be told that nobody waits for a task any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use mesh_bus::Bus;
use mesh_schemas::{Capability, Subject, TaskKey, TaskVerb};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Running tasks by attempt.
#[derive(Clone, Default)]
pub(crate) struct Cancellations(Arc<Mutex<BTreeMap<TaskKey, CancellationToken>>>);

/// Takes the task off the list when it ends.
pub(crate) struct Listed {
    cancellations: Cancellations,
    key: TaskKey,
}

impl Cancellations {
    pub(crate) fn list(&self, key: &TaskKey, token: CancellationToken) -> Listed {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), token);
        Listed { cancellations: self.clone(), key: key.clone() }
    }

    /// Passes on what the orchestrator says about tasks of a capability. What is said while the connection is
    /// down is missed; the task then runs to its end and its outcome counts for nothing.
    pub(crate) async fn listen(self, bus: Arc<dyn Bus>, capability: Capability) {
        let filter = format!("{}.task.cancelled.{capability}.>", bus.namespace());
        let mut heard = match bus.subscribe(&filter).await {
            Ok(heard) => heard,
            Err(error) => {
                warn!(%error, "cancelled tasks will run to their end");
                return;
            }
        };
        while let Some(message) = heard.next().await {
            if let Ok(Subject::Task { verb: TaskVerb::Cancelled, key }) =
                Subject::parse(bus.namespace(), &message.subject)
            {
                self.cancel(&key);
            }
        }
    }

    /// Tells the handler at work on an attempt, if one is.
    pub(crate) fn cancel(&self, key: &TaskKey) {
        if let Some(token) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            token.cancel();
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.cancellations.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
