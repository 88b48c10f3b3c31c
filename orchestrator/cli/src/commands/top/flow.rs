//! Events as they pass.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use futures::stream::select_all;
use mesh_bus::{Bus, BusError};
use mesh_schemas::{Message, Namespace, RunId, Subject, TaskVerb, WorkflowName, WorkflowVerb};
use serde::Deserialize;
use tokio::task::JoinHandle;

/// Most agents whose tasks are counted one by one, and most runs whose beginnings and ends are remembered between two looks.
const MOST: usize = 20_000;

/// Listens to the beginnings and ends of runs and to the outcomes of tasks, until it is dropped.
pub(super) struct Flow {
    counted: Arc<Mutex<Passed>>,
    listening: JoinHandle<()>,
}

/// What passed since somebody looked last. What is published again after a lost answer passes twice: these are rates for people.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) since: Instant,
    pub(super) started: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    pub(super) tasks_done: u64,
    pub(super) tasks_failed: u64,
    /// Tasks that each agent ended.
    pub(super) by_agent: BTreeMap<String, u64>,
    /// Runs that began, with when and of which workflow, and runs that ended, in order.
    pub(super) runs: Vec<(RunId, Option<Begun>)>,
    /// Whether more of them passed than are remembered.
    pub(super) is_full: bool,
}

/// The beginning of a run.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub(super) workflow: Option<WorkflowName>,
    pub(super) at: DateTime<Utc>,
}

/// Who an outcome is from, with or without an envelope around it.
#[derive(Deserialize)]
struct By {
    agent: Option<String>,
    data: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    agent: Option<String>,
}

impl Passed {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            started: 0,
            completed: 0,
            failed: 0,
            cancelled: 0,
            tasks_done: 0,
            tasks_failed: 0,
            by_agent: BTreeMap::new(),
            runs: Vec::new(),
            is_full: false,
        }
    }

    /// Takes a message that passes.
    pub(super) fn take(&mut self, namespace: &Namespace, message: &Message, now: DateTime<Utc>) {
        match Subject::parse(namespace, &message.subject) {
            Ok(Subject::Workflow { verb, workflow, run }) => {
                match verb {
                    WorkflowVerb::Started => self.started += 1,
                    WorkflowVerb::Completed => self.completed += 1,
                    WorkflowVerb::Failed => self.failed += 1,
                    WorkflowVerb::Cancelled => self.cancelled += 1,
                }
                if self.runs.len() < MOST {
                    let begun = (verb == WorkflowVerb::Started).then_some(Begun { workflow, at: now });
                    self.runs.push((run, begun));
                } else {
                    self.is_full = true;
                }
            }
            Ok(Subject::Task { verb: verb @ (TaskVerb::Completed | TaskVerb::Failed), .. }) => {
                let count =
                    if verb == TaskVerb::Completed { &mut self.tasks_done } else { &mut self.tasks_failed };
                *count += 1;
                let by = serde_json::from_slice::<By>(&message.payload).ok();
                let agent = by.and_then(|by| by.agent.or_else(|| by.data?.agent));
                if let Some(agent) = agent
                    && (self.by_agent.contains_key(&agent) || self.by_agent.len() < MOST)
                {
                    *self.by_agent.entry(agent).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    /// So many in a second of the time that passed.
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    pub(super) fn rate(number: u64, seconds: f64) -> f64 {
        if seconds <= 0.0 { 0.0 } else { number as f64 / seconds }
    }
}

impl Flow {
    pub(super) async fn listen(bus: &dyn Bus) -> Result<Self, BusError> {
        let namespace = bus.namespace().clone();
        let mut heard = Vec::new();
        for filter in ["workflow.*.*.-.*.*", "task.completed.>", "task.failed.>"] {
            heard.push(bus.subscribe(&format!("{namespace}.{filter}")).await?);
        }
        let counted = Arc::new(Mutex::new(Passed::new()));
        let counting = Arc::clone(&counted);
        let mut heard = select_all(heard);
        let listening = tokio::spawn(async move {
            while let Some(message) = heard.next().await {
                let mut passed = counting.lock().unwrap_or_else(PoisonError::into_inner);
                passed.take(&namespace, &message, Utc::now());
            }
        });
        Ok(Self { counted, listening })
    }

    /// What passed since it was asked last.
    pub(super) fn passed(&self) -> Passed {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *counted, Passed::new())
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
