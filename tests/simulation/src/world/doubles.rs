use std::sync::Arc;

use bytes::Bytes;
use mesh_bus::{Bus as _, Publish};
use mesh_schemas::payload::{TaskCompleted, TaskError, TaskFailed};
use mesh_schemas::{AgentId, Envelope, Headers, Message, Subject, TaskKey, TaskVerb};
use serde_json::json;
use tokio::time::sleep;

use super::link::Link;
use super::party::{Kind, Party};

/// The agent that reports the contrary of what others report.
pub(crate) const DOUBLE: &str = "double";
/// How far beyond an attempt the one is that it reports, too, and that never is.
const BEYOND: u32 = 1_000;
/// How late it is at most: some runs are over by then, and some are not.
const LATE_MILLIS: u64 = 3_000;

/// Reports the contrary of an outcome: what a zombie might do that was given up, and then worked on. Reports it of an
/// attempt that the run never has, too: what a confused agent might do.
pub(super) fn contradict(party: &Party, outcome: &Message) {
    let Ok(agent) = AgentId::new(DOUBLE) else { return };
    let Ok(Subject::Task { verb, key }) = Subject::parse(party.bus.namespace(), &outcome.subject) else {
        return;
    };
    let (verb, data) = match verb {
        TaskVerb::Completed => {
            let error = TaskError {
                code: "contradicted".to_owned(),
                message: String::new(),
                retryable: party.number(2) == 0,
                retry_after: None,
            };
            (TaskVerb::Failed, serde_json::to_value(TaskFailed { error, agent: Some(agent) }))
        }
        TaskVerb::Failed => {
            let output = json!({ "n": 77, "text": DOUBLE, "ok": true });
            let data = TaskCompleted { output, quality: None, usage: None, agent: Some(agent) };
            (TaskVerb::Completed, serde_json::to_value(data))
        }
        _ => return,
    };
    let data = data.unwrap_or_default();
    let report = |key: TaskKey| {
        let subject = Subject::Task { verb, key };
        let id = subject.render(party.bus.namespace());
        let event = Envelope::new(&id, "/double", subject.event_type(), data.clone());
        let (headers, body): (Headers, _) = event.encode().unwrap_or_default();
        Message { subject: id, headers, payload: Bytes::from(body) }
    };
    let beyond = (0..BEYOND).fold(key.attempt, |attempt, _| attempt.next());
    let messages = [report(TaskKey { attempt: beyond, ..key.clone() }), report(key)];
    let (world, delay) = (Arc::clone(&party.world), party.while_below(LATE_MILLIS));
    tokio::spawn(async move {
        sleep(delay).await;
        let double = Party::new(&world, Kind::Client, 1);
        // It may be refused, as anything may: then nobody hears of it.
        for message in messages {
            let _ = Link::store(&double, Publish::once(message)).await;
        }
    });
}
