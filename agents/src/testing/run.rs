use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_bus::{Bus, Publish};
use mesh_schemas::payload::{
    CancelSignal, RequestRejected, WorkflowCancelled, WorkflowCompleted, WorkflowFailed,
};
use mesh_schemas::{Envelope, Message, RunId, SignalId, Subject, WorkflowName};

use super::completed::CompletedRun;
use super::event::Event;
use super::events::Events;
use super::execution::{SOURCE, direct_task};
use super::failed::{CancelledRun, FailedRun, RejectedRequest};
use super::inner::Inner;
use super::pattern::Pattern;
use super::story::Story;
use super::task::RunTask;

/// A run: what has happened to it so far, and what may still be done to it. Each assertion panics if it does not hold, and
/// shows what happened.
///
/// ```
/// use mesh_agents::testing::{TestMesh, minutes};
/// # use serde_json::json;
/// # const REVIEW: &str = "{mesh: v1, name: review, tasks: {review: {agent: reviewer}, publish: {agent: publisher, needs: [review]}}}";
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let mesh = TestMesh::of(REVIEW);
/// mesh.mock("publisher", |_| Ok(json!(null)));
/// mesh.mock("reviewer", |_| Ok(json!("fine"))).takes(minutes(90));
///
/// let run = mesh.start(json!({"text": "…"})).await;
/// run.until("task.assigned review").await;
/// run.cancel("written anew").await;
///
/// run.ended().await.cancelled().because("written anew");
/// run.task("publish").did_not_run();
/// run.events().do_not_include("task.completed review");
/// # }
/// ```
pub struct Run {
    mesh: Arc<Inner>,
    id: RunId,
    workflow: Option<WorkflowName>,
    tasks: Option<Vec<String>>,
}

impl Run {
    pub(super) fn new(mesh: Arc<Inner>, id: RunId, workflow: Option<WorkflowName>) -> Self {
        let tasks = match &workflow {
            Some(name) => mesh
                .lock()
                .workflows
                .get(name)
                .map(|workflow| workflow.definition.tasks.keys().map(ToString::to_string).collect()),
            None => Some(vec![direct_task().to_string()]),
        };
        Self { mesh, id, workflow, tasks }
    }

    /// A run that has started.
    pub(super) fn known(mesh: Arc<Inner>, id: RunId) -> Self {
        let started = mesh.recorder.of_run(id);
        let workflow = started.iter().find_map(|event| match &event.subject {
            Subject::Workflow { workflow, .. } => workflow.clone(),
            _ => None,
        });
        Self::new(mesh, id, workflow)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Its workflow; none for a task that was asked for directly.
    #[must_use]
    pub fn workflow(&self) -> Option<&WorkflowName> {
        self.workflow.as_ref()
    }

    /// Waits for its end, and until all that follows from it is done.
    ///
    /// # Panics
    /// If it does not end in time, or an agent that it needs is not there.
    pub async fn ended(&self) -> &Self {
        let end = self.mesh.recorder.await_event(self.id, |event| is_end(event).then_some(()));
        self.mesh.attend("the end of the run", || self.story(), end).await;
        self.mesh.settle(self.id).await;
        self
    }

    /// Waits until this has happened, which is described as for [`Events`].
    ///
    /// # Panics
    /// If nothing could be as described, or the run ends without it.
    #[track_caller]
    pub fn until(&self, description: &str) -> impl Future<Output = Event> {
        let pattern = match Pattern::new(description, self.tasks.as_deref()) {
            Ok(pattern) => pattern,
            Err(wrong) => self.story().fail(wrong),
        };
        async move {
            let found = |event: &Event| {
                (pattern.matches(event) || is_end(event)).then(|| (pattern.matches(event), event.clone()))
            };
            let found = self.mesh.recorder.await_event(self.id, found);
            let (matches, event) = self.mesh.attend(&format!("'{pattern}'"), || self.story(), found).await;
            if !matches {
                self.story().fail(format!("waited for '{pattern}', and the run ended without it"));
            }
            event
        }
    }

    /// Asks it to end.
    ///
    /// # Panics
    /// If the bus is away.
    pub async fn cancel(&self, reason: &str) {
        let id = SignalId::new(format!("cancel-{}", self.mesh.number()));
        let (Ok(signal), Ok(id)) = (SignalId::new("cancel"), id) else { unreachable!("valid names") };
        let subject = Subject::Signalled { workflow: self.workflow.clone(), run: self.id, signal, id };
        let data = serde_json::to_value(CancelSignal { reason: Some(reason.to_owned()) }).unwrap_or_default();
        let id = subject.render(self.mesh.bus.namespace());
        let mut event = Envelope::new(id.clone(), SOURCE, subject.event_type(), data);
        event.time = Some(self.mesh.bus.now());
        let (headers, body) = event.encode().unwrap_or_default();
        let message = Message { subject: id, headers, payload: Bytes::from(body) };
        if let Err(error) = self.mesh.bus.publish(Publish::once(message)).await {
            self.story().fail(format!("it cannot be cancelled: {error}"));
        }
    }

    /// It completed.
    #[track_caller]
    pub fn completed(&self) -> CompletedRun {
        let (story, end) = self.end("complete", "did not", "workflow.completed");
        match end.data_as::<WorkflowCompleted>() {
            Some(data) => CompletedRun { story, output: data.output, took: end.after },
            None => story.fail(format!("its end cannot be read: {}", end.data())),
        }
    }

    /// It failed.
    #[track_caller]
    pub fn failed(&self) -> FailedRun {
        let (story, end) = self.end("fail", "did not", "workflow.failed");
        match end.data_as::<WorkflowFailed>() {
            Some(data) => FailedRun { story, data, took: end.after },
            None => story.fail(format!("its end cannot be read: {}", end.data())),
        }
    }

    /// It was cancelled.
    #[track_caller]
    pub fn cancelled(&self) -> CancelledRun {
        let (story, end) = self.end("be cancelled", "was not", "workflow.cancelled");
        match end.data_as::<WorkflowCancelled>() {
            Some(data) => CancelledRun { story, data },
            None => story.fail(format!("its end cannot be read: {}", end.data())),
        }
    }

    /// It never began: the request was rejected.
    #[track_caller]
    pub fn rejected(&self) -> RejectedRequest {
        let (story, end) = self.end("be rejected", "was not", "request.rejected");
        match end.data_as::<RequestRejected>() {
            Some(data) => RejectedRequest { story, data },
            None => story.fail(format!("the rejection cannot be read: {}", end.data())),
        }
    }

    /// One of its tasks.
    ///
    /// # Panics
    /// If its workflow has no such task.
    #[must_use = "say what is expected of it"]
    #[track_caller]
    pub fn task(&self, id: &str) -> RunTask {
        let story = self.story();
        let is_complete = story.events.iter().any(|event| event.event_type() == "workflow.completed");
        RunTask::new(id, &story, self.tasks.clone(), is_complete)
    }

    /// Everything that has happened to it so far.
    #[must_use]
    pub fn events(&self) -> Events {
        Events { story: self.story(), tasks: self.tasks.clone() }
    }

    /// How long it has taken so far, by tokio's clock.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.mesh.recorder.of_run(self.id).last().map(Event::after).unwrap_or_default()
    }

    fn story(&self) -> Story {
        let of = self.workflow.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
        Story::new(format!("run {}{of}", self.id), self.mesh.recorder.of_run(self.id))
    }

    /// The event that ended it, which must be of a type.
    #[track_caller]
    fn end(&self, how: &str, not: &str, event_type: &str) -> (Story, Event) {
        let story = self.story();
        let Some(end) = story.first(|event| is_end(event).then(|| event.clone())) else {
            story.fail(format!("expected it to {how}, but it has not ended: await run.ended()"));
        };
        if end.event_type() != event_type {
            story.fail(format!("expected it to {how}, but it {not}:\n  {end}"));
        }
        (story, end)
    }
}

impl fmt::Display for Run {
    /// What has happened so far, a line for each event.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.story())
    }
}

fn is_end(event: &Event) -> bool {
    matches!(
        event.event_type().as_str(),
        "workflow.completed" | "workflow.failed" | "workflow.cancelled" | "request.rejected"
    )
}
