//! Asks for runs, and notes how long each takes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use mesh_bus::nats::NatsBus;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, Follow, From, Request, SubmitError, Target, run_id, submit};
use mesh_schemas::{RequestId, RunId, Shards, Subject, WorkflowName};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use super::plan::{Length, Plan};
use super::workload::{self, Workload};

/// How long no run may begin or end before the mesh is taken to stand still.
pub(super) const STANDSTILL: Duration = Duration::from_secs(60);

/// Runs under way.
pub(super) struct Load {
    bus: Arc<NatsBus>,
    shards: Shards,
    /// What is asked for in turn.
    workflows: Vec<WorkflowName>,
    input: Value,
    /// The ends of all runs of the namespace, as the log has them.
    ends: Follow,
    /// When each run that is under way was asked for, or was to be.
    open: HashMap<RunId, Instant>,
    asked: usize,
    sent: JoinSet<Result<RunId, SubmitError>>,
}

impl Load {
    /// Begins to listen.
    pub(super) async fn begin(bus: &Arc<NatsBus>, plan: &Plan) -> anyhow::Result<Self> {
        let namespace = bus.namespace();
        let filters = ["completed", "failed", "cancelled"]
            .map(|verb| format!("{namespace}.workflow.{verb}.*.-.*.*"))
            .to_vec();
        Ok(Self {
            shards: bus.shards().await?,
            workflows: (0..plan.capabilities).map(workload::workflow).collect::<Result<_, _>>()?,
            input: Workload::input(plan.payload),
            ends: bus.follow(Stream::Events, filters, From::Now).await?,
            bus: Arc::clone(bus),
            open: HashMap::new(),
            asked: 0,
            sent: JoinSet::new(),
        })
    }

    /// Keeps so many runs under way, for so long; returns how long those took that ended.
    pub(super) async fn keep(&mut self, in_flight: usize, length: Length) -> anyhow::Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        let began = Instant::now();
        while !is_over(length, began, latencies.len()) {
            while self.open.len() < in_flight {
                self.ask(Instant::now());
            }
            latencies.push(self.next().await?);
        }
        Ok(latencies)
    }

    /// Asks for so many runs each second, for so long, whether or not they end; returns how long those took that ended.
    pub(super) async fn pace(&mut self, per_second: f64, length: Length) -> anyhow::Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        let period = Duration::from_secs_f64(1.0 / per_second);
        let began = Instant::now();
        let mut due = began;
        while !is_over(length, began, latencies.len()) {
            tokio::select! {
                biased;
                // Reckoned from when it is due, not from when it is sent: who is late with it makes others wait, too.
                () = sleep_until(due) => {
                    self.ask(due);
                    due += period;
                }
                took = self.next() => latencies.push(took?),
            }
        }
        Ok(latencies)
    }

    /// Waits until every run that is under way has ended.
    pub(super) async fn drain(&mut self) -> anyhow::Result<()> {
        while !self.open.is_empty() {
            self.next().await?;
        }
        Ok(())
    }

    /// Waits for the end of a run, and says how long it took since it was asked for. May be dropped.
    async fn next(&mut self) -> anyhow::Result<Duration> {
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

    /// Asks for one more run, which is said to be asked for at this time.
    fn ask(&mut self, at: Instant) {
        let workflow = self.workflows[self.asked % self.workflows.len()].clone();
        self.asked += 1;
        let id = RequestId { source: "/bench".to_owned(), id: Uuid::new_v4().to_string() };
        let mut request = Request::new(Target::Workflow(workflow), id, self.input.clone());
        let run = run_id(&request, self.shards);
        // The bare loop reads there which run it is.
        request.correlation_id = Some(run.to_string());
        self.open.insert(run, at);
        let bus = Arc::clone(&self.bus);
        self.sent.spawn(async move { submit(&*bus, &request).await });
    }
}

fn is_over(length: Length, began: Instant, ended: usize) -> bool {
    match length {
        Length::Time(time) => began.elapsed() >= time && ended > 0,
        Length::Runs(runs) => ended >= runs,
    }
}
