//! Runs that a rehearsed run starts: they are answered for like the work of agents.

use chrono::{DateTime, Utc};
use mesh_core::Child;
use mesh_schemas::payload::{TaskCreated, child_run};
use mesh_schemas::{Digest, Namespace, Shards, TaskKey, TaskVerb};
use serde_json::{Value, json};

use super::course::Work;
use super::stage::{Asked, Rehearsal};

impl Rehearsal {
    /// Takes the request for a run.
    pub(super) fn start_child(&mut self, key: &TaskKey, child: &Child, at: DateTime<Utc>) {
        let created = created(&self.run.plan().digest, key, child, at);
        if self.stored.insert(key.subject(TaskVerb::Created).render(&self.namespace)) {
            let work = Work { key: key.clone(), created, at };
            self.work.push(work.clone());
            let work = Box::new(work);
            self.asked.push_back(if child.parent.wait { Asked::Work(work) } else { Asked::Start(work) });
        }
    }
}

/// A run that a task starts, in the form of work for an agent.
pub(super) fn created(digest: &Digest, key: &TaskKey, child: &Child, at: DateTime<Utc>) -> TaskCreated {
    let left = child.parent.deadline.map(|deadline| (deadline - at).num_milliseconds());
    TaskCreated {
        workflow: child.parent.workflow.clone(),
        digest: digest.clone(),
        task: key.task.clone(),
        attempt: key.attempt,
        action: None,
        input: child.input.clone(),
        secrets: Vec::new(),
        timeout_ms: left.and_then(|left| u64::try_from(left).ok()),
        deadline: child.parent.deadline,
        basis: at,
        idempotency_key: format!("{}.{}", key.run, key.task),
    }
}

/// What a task is told that only has to start a run.
pub(super) fn started(namespace: &Namespace, key: &TaskKey) -> Value {
    json!({ "run": child_run(namespace, Shards::default(), key) })
}
