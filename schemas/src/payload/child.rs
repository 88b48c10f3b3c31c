use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::envelope::{Envelope, EnvelopeError};
use crate::id::{Attempt, Digest, RequestId, RunId, Shards};
use crate::name::{Namespace, SignalId, TaskId};
use crate::subject::TaskKey;

/// Name of the extension of a request that says which task the run is for; its value is [`Parent`] as JSON text. The data of
/// a request is the input, so it has no room beside that.
pub const PARENT: &str = "meshparent";

/// How deep runs may stand in one another: a run that a client asks for has depth 0. It bounds a workflow that starts itself
/// without an end: each level is a run of its own, and people must be able to follow them.
pub const MAX_RUN_DEPTH: u32 = 16;

/// The task of another run that a run is started for: part of the data of its `workflow.started`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Parent {
    /// The run with the task.
    pub run: RunId,
    /// Name of the workflow of that run.
    pub workflow: String,
    /// The task.
    pub task: TaskId,
    /// Which try of the task, from 1.
    pub attempt: Attempt,
    /// How many runs stand around the one that is started: 1 if nobody's task started that with the task.
    pub depth: u32,
    /// Whether the task waits for the end of the run, which then is its outcome.
    pub wait: bool,
    /// The definition that the run is to follow; without one, that which is applied when it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Digest>,
    /// When the run ends whatever happens, if its own timeout is not over before. By the server's clock, as the times in the log
    /// are. A run that is not waited for may have none but its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DateTime<Utc>>,
}

impl Parent {
    /// The request for the run: the same for every orchestrator, and another one for every attempt.
    #[must_use]
    pub fn request(&self, namespace: &Namespace) -> RequestId {
        request(namespace, self.run, &self.task, self.attempt)
    }

    /// What a request says about the task that it is for; `None` if it is for none.
    ///
    /// # Errors
    /// [`EnvelopeError::NotCloudEvent`] if that cannot be read, or the request has another `source` and `id` than it would
    /// have.
    pub fn of(namespace: &Namespace, request: &Envelope) -> Result<Option<Self>, EnvelopeError> {
        let wrong = |error: String| EnvelopeError::NotCloudEvent(format!("{PARENT}: {error}"));
        let Some(value) = request.extensions.get(PARENT) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| wrong("it is not text".to_owned()))?;
        let parent: Self = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let RequestId { source, id } = parent.request(namespace);
        if (source.as_str(), id.as_str()) != (&request.source, &request.id) {
            return Err(wrong(format!(
                "the request for that task has the source '{source}' and the id '{id}'"
            )));
        }
        Ok(Some(parent))
    }

    /// Says in a request which task it is for.
    pub fn write(&self, request: &mut Envelope) {
        // Every key is a string, so writing cannot fail.
        let text = serde_json::to_string(self).unwrap_or_default();
        request.extensions.insert(PARENT.to_owned(), text.into());
    }
}

/// The run that an attempt of a task starts, if it starts one: the token for its capability is then the name of the workflow.
#[must_use]
pub fn child_run(namespace: &Namespace, shards: Shards, key: &TaskKey) -> RunId {
    let request = request(namespace, key.run, &key.task, key.attempt);
    RunId::for_request(&format!("workflow.{}", key.capability), &request, shards)
}

fn request(namespace: &Namespace, run: RunId, task: &TaskId, attempt: Attempt) -> RequestId {
    RequestId { source: format!("/{namespace}/runs/{run}"), id: format!("{task}.{attempt}") }
}

/// Id of the signal by which a run cancels one that it started. There is one such run, and so one such signal.
#[must_use]
pub fn parent_signal() -> SignalId {
    SignalId::new("parent").unwrap_or_else(|_| unreachable!("a valid id"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parent() -> Parent {
        let request = RequestId { source: "/test".to_owned(), id: "1".to_owned() };
        Parent {
            run: RunId::for_request("workflow.outer", &request, Shards::default()),
            workflow: "outer".to_owned(),
            task: "each:3:t".parse().expect("an id"),
            attempt: Attempt::FIRST.next(),
            depth: 1,
            wait: true,
            version: Some(Digest::of(b"x")),
            deadline: "2026-01-02T03:04:05.006Z".parse().ok(),
        }
    }

    fn request(parent: &Parent) -> Envelope {
        let RequestId { source, id } = parent.request(&Namespace::default());
        let mut request = Envelope::new(id, source, "workflow.requested", json!({}));
        parent.write(&mut request);
        request
    }

    #[test]
    fn a_request_says_which_task_it_is_for() {
        let namespace = Namespace::default();
        let request = request(&parent());
        let (headers, body) = request.encode().expect("an event");
        let decoded = Envelope::decode(&headers, &body).expect("an event");
        let read = decoded.envelope().map(|event| Parent::of(&namespace, event));
        assert_eq!(read, Some(Ok(Some(parent()))));
        assert!(request.id == "each:3:t.2" && request.source.starts_with("/mesh/runs/"), "{request:?}");
        let plain = Envelope::new("1", "/x", "workflow.requested", json!({}));
        assert_eq!(Parent::of(&namespace, &plain), Ok(None));
    }

    #[test]
    fn a_request_for_a_task_is_that_of_the_task() {
        let namespace = Namespace::default();
        let mut other = request(&parent());
        other.id = "each:3:t.1".to_owned();
        let error = Parent::of(&namespace, &other).expect_err("another attempt").to_string();
        assert!(error.contains("meshparent") && error.contains("'each:3:t.2'"), "{error}");
        for value in [json!(1), json!("{}")] {
            other.extensions.insert(PARENT.to_owned(), value);
            assert!(Parent::of(&namespace, &other).is_err());
        }
    }
}
