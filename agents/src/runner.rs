//! What the ready-made runners have in common: what they tell of a task, and how they read what comes back.

use chrono::SecondsFormat;
use mesh_schemas::payload::code;
use serde_json::Value;

use crate::context::Context;
use crate::failure::TaskFailure;
use crate::handler::Output;

/// Most bytes of output that a runner takes, unless something else is said: as much as data may have.
pub const DEFAULT_OUTPUT_LIMIT: usize = mesh_schemas::MAX_DATA_BYTES;

/// How much of an output that cannot be read is quoted, in bytes.
const QUOTED: usize = 200;

/// What a runner tells of a task, as environment variable and as HTTP header.
pub(crate) const NAMES: [(&str, &str); 13] = [
    ("MESH_RUN_ID", "mesh-run-id"),
    ("MESH_WORKFLOW", "mesh-workflow"),
    ("MESH_TASK", "mesh-task"),
    ("MESH_ATTEMPT", "mesh-attempt"),
    ("MESH_DELIVERY", "mesh-delivery"),
    ("MESH_ACTION", "mesh-action"),
    ("MESH_IDEMPOTENCY_KEY", "idempotency-key"),
    ("MESH_CORRELATION_ID", "mesh-correlation-id"),
    ("MESH_DEADLINE", "mesh-deadline"),
    ("MESH_AGENT", "mesh-agent"),
    ("MESH_CAPABILITY", "mesh-capability"),
    ("TRACEPARENT", "traceparent"),
    ("TRACESTATE", "tracestate"),
];

/// The values that go with [`NAMES`].
pub(crate) type Facts = [Option<String>; NAMES.len()];

/// What there is to tell of a task.
pub(crate) fn facts(context: &Context) -> Facts {
    let trace = context.trace();
    let tracestate = trace.as_ref().and_then(|trace| trace.tracestate.clone());
    [
        Some(context.run().to_string()),
        Some(context.workflow().to_owned()),
        Some(context.task().to_string()),
        Some(context.attempt().get().to_string()),
        Some(context.delivery().to_string()),
        context.action().map(ToOwned::to_owned),
        Some(context.idempotency_key().to_owned()),
        Some(context.correlation_id().to_owned()),
        context.deadline().map(|deadline| deadline.to_rfc3339_opts(SecondsFormat::Millis, true)),
        Some(context.agent().to_string()),
        Some(context.0.key.capability.to_string()),
        trace.map(|trace| trace.traceparent),
        tracestate,
    ]
}

/// Reads JSON; nothing, or nothing but white space, is null.
///
/// What is not JSON is a fatal failure: the work was reported as done, so doing it again is no cure and may do harm.
pub(crate) fn read_output(bytes: &[u8]) -> Result<Output, TaskFailure> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Output::new(Value::Null));
    }
    serde_json::from_slice(bytes).map(Output::new).map_err(|error| {
        let beginning = beginning(bytes, QUOTED);
        TaskFailure::fatal(code::INVALID_OUTPUT, format!("the output is not JSON ({error}): {beginning}"))
    })
}

/// More came back than is taken. Fatal: the next attempt would bring as much.
pub(crate) fn too_large(limit: usize) -> TaskFailure {
    TaskFailure::fatal(
        code::OUTPUT_TOO_LARGE,
        format!("the output is larger than {limit} bytes: return less, or a reference to it"),
    )
}

/// Nobody waits for the task any more.
pub(crate) fn cancelled() -> TaskFailure {
    TaskFailure::fatal(code::RUN_ENDED, "the task was cancelled")
}

/// The beginning of what may be text, at most so many bytes of it, with a mark where it was cut.
pub(crate) fn beginning(bytes: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(most)]);
    let mark = if bytes.len() > most { "…" } else { "" };
    format!("{}{mark}", text.trim())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn output_is_json_or_nothing() {
        assert_eq!(read_output(b""), Ok(Output::new(Value::Null)));
        assert_eq!(read_output(b" \r\n"), Ok(Output::new(Value::Null)));
        assert_eq!(read_output(b" {\"a\": 1}\n"), Ok(Output::new(json!({"a": 1}))));
        for wrong in ["done", "1 2", "{\"a\":", "\u{1b}"] {
            let failure = read_output(wrong.as_bytes()).expect_err("it is not JSON");
            assert_eq!((failure.code(), failure.is_retryable()), ("invalid_output", false));
            assert!(failure.message().ends_with(wrong), "{failure}");
        }
    }

    #[test]
    fn what_is_quoted_is_bounded() {
        assert_eq!(beginning(b" short \n", 10), "short");
        assert_eq!(beginning(b"rather long", 6), "rather…");
        assert_eq!(beginning("ä".as_bytes(), 1), "\u{fffd}…");
    }
}
