use std::sync::{Arc, Weak};

use mesh_schemas::Capability;
use mesh_schemas::payload::{TaskCreated, code};
use serde_json::Value;

use super::inner::Inner;
use super::script::{Behaviour, End};
use crate::context::Context;
use crate::failure::TaskFailure;
use crate::handler::{Handler, Handling, Output, Settling};

/// A mocked capability.
pub(super) type Mock = Arc<dyn Fn(Value) -> Result<Value, TaskFailure> + Send + Sync>;

/// A handler that does what its script says, and works when that says nothing.
pub(super) struct Scripted {
    pub(super) mesh: Weak<Inner>,
    pub(super) capability: Capability,
    /// Which agent it belongs to.
    pub(super) agent: usize,
    /// What does the work, unless the capability is mocked.
    pub(super) handler: Option<Arc<dyn Handler>>,
}

impl Handler for Scripted {
    fn handle(&self, context: Context, task: TaskCreated) -> Handling {
        let behaviour = self.mesh.upgrade().and_then(|mesh| mesh.behaviour(&self.capability, &task.task));
        let work = self.work(context, task);
        let (mesh, agent) = (Weak::clone(&self.mesh), self.agent);
        Box::pin(async move {
            let Some(Behaviour { pause, end, .. }) = behaviour else { return work.await };
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            match end {
                End::Work => return work.await,
                End::Fail(failure) => return Err(failure),
                End::Never => {}
                End::Die => die(&mesh, agent),
                End::DieAfterWork => {
                    let _unknown = work.await;
                    die(&mesh, agent);
                }
            }
            std::future::pending().await
        })
    }

    fn settled(&self) -> Settling<'_> {
        match &self.handler {
            Some(handler) => handler.settled(),
            None => Box::pin(std::future::ready(())),
        }
    }
}

impl Scripted {
    /// The work, which begins when it is awaited.
    fn work(&self, context: Context, task: TaskCreated) -> Handling {
        let mock = self.mesh.upgrade().and_then(|mesh| mesh.mock_of(&self.capability));
        let (handler, capability) = (self.handler.clone(), self.capability.clone());
        Box::pin(async move {
            match (mock, handler) {
                (Some(mock), _) => mock(task.input).map(Output::new),
                (None, Some(handler)) => handler.handle(context, task).await,
                (None, None) => {
                    Err(TaskFailure::fatal(code::ERROR, format!("nobody says what '{capability}' does")))
                }
            }
        })
    }
}

/// Kills the process that this runs in.
fn die(mesh: &Weak<Inner>, agent: usize) {
    if let Some(mesh) = mesh.upgrade() {
        mesh.restart_agent(agent);
    }
}
