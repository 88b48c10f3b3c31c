//! Keeps so many runs under way, and notes how long each takes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use mesh_bus::nats::NatsBus;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, Follow, From, Request, SubmitError, Target, run_id, submit};
use mesh_schemas::{RequestId, RunId, Shards, Subject, WorkflowName};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use super::round::Plan;

/// How long no run may end before the mesh is taken to stand still.
const STANDSTILL: Duration = Duration::from_secs(60);

/// Runs under way.
pub(super) struct Load {
    bus: Arc<NatsBus>,
    shards: Shards,
    workflow: WorkflowName,
    input: Value,
    /// The ends of all runs of the namespace, as the log has them.
    ends: Follow,
    /// When each run that is under way was asked for.
    open: HashMap<RunId, Instant>,
    sent: JoinSet<Result<RunId, SubmitError>>,
}

impl Load {
    /// Begins to listen, and asks for the first runs.
    pub(super) async fn begin(bus: &Arc<NatsBus>, plan: &Plan) -> anyhow::Result<Self> {
        let namespace = bus.namespace();
        let filters = ["completed", "failed", "cancelled"]
            .map(|verb| format!("{namespace}.workflow.{verb}.*.-.*.*"))
            .to_vec();
        let mut load = Self {
            shards: bus.shards().await?,
            workflow: plan.workload.workflow()?,
            input: plan.workload.input(plan.payload),
            ends: bus.follow(Stream::Events, filters, From::Now).await?,
            bus: Arc::clone(bus),
            open: HashMap::new(),
            sent: JoinSet::new(),
        };
        for _ in 0..plan.in_flight() {
            load.ask();
        }
        Ok(load)
    }

    /// Waits for the end of a run, and says how long it took since it was asked for.
    pub(super) async fn next(&mut self) -> anyhow::Result<Duration> {
        loop {
            tokio::select! {
                biased;
                message = timeout(STANDSTILL, self.ends.next()) => {
                    let Ok(message) = message else {
                        bail!("no run ended within {} s, of {} under way", STANDSTILL.as_secs(), self.open.len());
                    };
                    // `None` in the stream is where those end that were there.
                    let Some(message) = message.context("the log ended")?? else { continue };
                    if let Some(took) = self.take(&message.message.subject)? {
                        return Ok(took);
                    }
                }
                Some(sent) = self.sent.join_next() => {
                    sent.context("asking for a run")??;
                }
            }
        }
    }

    /// Notes the end that a subject tells of.
    fn take(&mut self, subject: &str) -> anyhow::Result<Option<Duration>> {
        let namespace = self.bus.namespace();
        let Some(run) = Subject::run_of(namespace, subject) else { return Ok(None) };
        let Some(asked) = self.open.remove(&run) else { return Ok(None) };
        if !subject.starts_with(&format!("{namespace}.workflow.completed.")) {
            bail!("a run did not complete: {subject}");
        }
        Ok(Some(asked.elapsed()))
    }

    /// Asks for one more run.
    pub(super) fn ask(&mut self) {
        let target = Target::Workflow(self.workflow.clone());
        let id = RequestId { source: "/bench".to_owned(), id: Uuid::new_v4().to_string() };
        let request = Request::new(target, id, self.input.clone());
        self.open.insert(run_id(&request, self.shards), Instant::now());
        let bus = Arc::clone(&self.bus);
        self.sent.spawn(async move { submit(&*bus, &request).await });
    }

    /// Waits until every run that is under way has ended.
    pub(super) async fn drain(&mut self) -> anyhow::Result<()> {
        while !self.open.is_empty() {
            self.next().await?;
        }
        Ok(())
    }
}
