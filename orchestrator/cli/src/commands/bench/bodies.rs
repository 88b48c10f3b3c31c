//! Bodies for the bare loop: those of the events that the mesh writes.

use chrono::{DateTime, Utc};
use mesh_bus::nats::floor::Bodies;
use mesh_orchestrator::source;
use mesh_schemas::{Digest, Envelope, Message, Namespace, RequestId, RunId, Shards};
use serde_json::{Value, json};

use super::workload::{CAPABILITY, Workload};

/// Bodies with so many bytes of text in what tasks are given and make.
pub(super) fn bodies(namespace: &Namespace, payload: u32) -> anyhow::Result<Bodies> {
    let request =
        RequestId { source: "/bench".to_owned(), id: "00000000-0000-0000-0000-000000000000".to_owned() };
    let run = RunId::for_request(CAPABILITY, &request, Shards::default());
    let (digest, now) = (Digest::of(b""), DateTime::<Utc>::UNIX_EPOCH);
    let input = Workload::input(payload);
    let work = format!("{CAPABILITY}.normal.{run}.t0_0.1");
    let agent = format!("{CAPABILITY}-0123abcd");
    let event = |type_: &str, rest: &str, data: Value| -> anyhow::Result<Message> {
        let subject = format!("{namespace}.{type_}.{rest}");
        let mut event = Envelope::new(subject.clone(), source(namespace), type_.to_owned(), data);
        event.time = Some(now);
        event.correlationid = Some(run.to_string());
        event.causationid = Some(format!("{namespace}.task.completed.{work}"));
        let (headers, body) = event.encode()?;
        Ok(Message { subject, headers, payload: body.into() })
    };
    let life = format!("{CAPABILITY}.-.{run}");
    Ok(Bodies {
        started: event(
            "workflow.started",
            &life,
            json!({ "digest": digest, "rules": 1, "input": input, "request": request, "deadline": now }),
        )?,
        created: event(
            "task.created",
            &work,
            json!({
                "workflow": CAPABILITY, "digest": digest, "task": "t0_0", "attempt": 1, "input": input,
                "deadline": now, "basis": now, "idempotency_key": format!("{run}.t0_0"),
            }),
        )?,
        assigned: event("task.assigned", &format!("{work}.1"), json!({ "agent": agent, "delivery": 1 }))?,
        outcome: event("task.completed", &work, json!({ "output": input, "agent": agent }))?,
        ended: event(
            "workflow.completed",
            &life,
            json!({
                "output": input["text"], "duration_ms": 1,
                "tasks": { "done": 3, "failed": 0, "skipped": 0 },
            }),
        )?,
    })
}
