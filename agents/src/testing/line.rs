//! What an event carries, short enough for a line.

use mesh_schemas::payload::{
    CancelSignal, RequestRejected, TaskAssigned, TaskCompleted, TaskCreated, TaskFailed, TaskProgress,
    TaskReleased, WorkflowCancelled, WorkflowCompleted, WorkflowFailed, WorkflowStarted,
};
use serde_json::Value;

use super::event::Event;

/// Most characters of a gist: what fits beside the rest on a wide terminal.
const LENGTH: usize = 120;

/// The gist of what an event carries.
pub(super) fn gist(event: &Event) -> String {
    let gist = match event.event_type().as_str() {
        "workflow.started" => event.data_as().map(|data: WorkflowStarted| json(&data.input)),
        "workflow.completed" => event.data_as().map(|data: WorkflowCompleted| json(&data.output)),
        "workflow.failed" => {
            event.data_as().map(|data: WorkflowFailed| format!("{}: {}", data.error.code, data.error.message))
        }
        "workflow.cancelled" => event.data_as().and_then(|data: WorkflowCancelled| data.reason),
        "workflow.signalled" => event.data_as().and_then(|data: CancelSignal| data.reason),
        "task.created" => event.data_as().map(|data: TaskCreated| json(&data.input)),
        "task.assigned" => {
            event.data_as().map(|data: TaskAssigned| format!("{}, delivery {}", data.agent, data.delivery))
        }
        "task.released" => {
            event.data_as().map(|data: TaskReleased| format!("{}, delivery {}", data.agent, data.delivery))
        }
        "task.progress" => event.data_as().map(|data: TaskProgress| {
            format!("{:.0} % {}", data.progress * 100.0, data.message.unwrap_or_default())
        }),
        "task.completed" => event.data_as().map(|data: TaskCompleted| json(&data.output)),
        "task.failed" | "task.cancelled" => event.data_as().map(|data: TaskFailed| {
            let fatal = if data.error.retryable { "" } else { " (fatal)" };
            format!("{}: {}{fatal}", data.error.code, data.error.message)
        }),
        "request.rejected" => {
            event.data_as().map(|data: RequestRejected| format!("{}: {}", data.code, data.reasons.join("; ")))
        }
        _ => None,
    };
    shorten(&gist.unwrap_or_default())
}

fn json(value: &Value) -> String {
    value.to_string()
}

fn shorten(text: &str) -> String {
    let text = text.replace('\n', " ");
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
