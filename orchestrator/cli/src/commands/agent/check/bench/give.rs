//! Giving the agent work, as an orchestrator does or through one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use chrono::Utc;
use mesh_bus::{Bus as _, Publish, Request, Stored, Target, submit};
use mesh_schemas::{Message, ObjectOwner, RequestId, Subject, TaskVerb, TraceContext};

use super::stage::{SETTLE, Stage};
use super::task::{self, CORRELATION, TRACEPARENT, Task, Work};
use super::watch::{Outcome, Seen, What};

/// How long an orchestrator may take to make a task.
const ORCHESTRATOR: Duration = Duration::from_secs(15);

impl Stage<'_> {
    /// Gives the agent something to do.
    pub(in super::super) async fn give(&self, work: &Work) -> anyhow::Result<Task> {
        let task = self.announce(work).await?;
        self.hand_over(task, work).await
    }

    /// Gives the agent something whose outcome is known already.
    pub(in super::super) async fn give_done(&self, work: &Work) -> anyhow::Result<Task> {
        let task = self.announce(work).await?;
        self.store(task::completed_elsewhere(&task)).await?;
        self.hand_over(task, work).await
    }

    /// Gives the agent something, and waits for the outcome.
    pub(in super::super) async fn outcome_of(&self, work: &Work) -> anyhow::Result<(Task, Option<Outcome>)> {
        let task = self.give(work).await?;
        let outcome = self.outcome(&task).await;
        Ok((task, outcome))
    }

    /// Whether the agent does a usual task, or what it does instead. Afterwards it has nothing in hand, unless it never
    /// acknowledges.
    pub(in super::super) async fn goes_on(&self) -> anyhow::Result<Result<(), String>> {
        let (task, outcome) = self.outcome_of(&Work::of(&self.settings.input)).await?;
        Ok(match outcome {
            Some(Outcome { verb: TaskVerb::Completed, .. }) => {
                self.is_settled(&task, SETTLE).await;
                Ok(())
            }
            Some(_) => Err("the next task failed".to_owned()),
            None => Err(format!("the next task had no outcome: {}", self.why_none(&task).await)),
        })
    }

    async fn announce(&self, work: &Work) -> anyhow::Result<Task> {
        let shards = self.bus.shards().await?;
        let key = task::new_key(&self.settings.capability, shards)?;
        let namespace = self.bus.namespace().clone();
        if self.is_ours() {
            self.store(task::started(&namespace, &key, &work.input)).await?;
        }
        Ok(Task { namespace, key, sequence: 0, given: Instant::now() })
    }

    async fn hand_over(&self, mut task: Task, work: &Work) -> anyhow::Result<Task> {
        if !self.is_ours() {
            return self.request(work).await;
        }
        if work.by_reference {
            let content = work.input.to_string().into();
            self.bus.put_object(&ObjectOwner::Run(task.run()), content).await?;
        }
        let created = task::created(self.bus.namespace(), &task.key, work, Utc::now());
        task.sequence = self.store(created).await?;
        task.given = Instant::now();
        Ok(task)
    }

    async fn store(&self, publish: Publish) -> anyhow::Result<u64> {
        let subject = publish.message.subject.clone();
        match self.bus.publish(publish).await.with_context(|| format!("storing {subject}"))? {
            Stored::Now(sequence) => Ok(sequence),
            Stored::Already => bail!("{subject} is there already"),
        }
    }

    /// Has an orchestrator make the task.
    async fn request(&self, work: &Work) -> anyhow::Result<Task> {
        let namespace = self.bus.namespace().clone();
        let target = Target::Task(self.settings.capability.clone());
        let id = RequestId { source: format!("/{namespace}/check"), id: uuid::Uuid::new_v4().to_string() };
        let request = Request {
            correlation_id: Some(CORRELATION.to_owned()),
            trace: TraceContext::new(TRACEPARENT, None),
            ..Request::new(target, id, work.input.clone())
        };
        let run = submit(&*self.bus, &request).await?;
        let find = |seen: &[Seen]| {
            seen.iter().find_map(|seen| {
                let What::Created(stored) = &seen.what else { return None };
                match Subject::parse(&namespace, &stored.message.subject) {
                    Ok(Subject::Task { verb: TaskVerb::Created, key }) if key.run == run => Some(Task {
                        namespace: namespace.clone(),
                        key,
                        sequence: stored.sequence,
                        given: seen.at,
                    }),
                    _ => None,
                }
            })
        };
        self.watch.until(ORCHESTRATOR, &find).await.with_context(|| {
            format!(
                "no orchestrator made a task of the request {run} within {} s: is one running for the namespace \
                 '{namespace}'? `mesh agent check … -- COMMAND` needs none",
                ORCHESTRATOR.as_secs()
            )
        })
    }

    /// Has the work called off that a task is, as when its run is cancelled.
    pub(in super::super) async fn cancel(&self, task: &Task) -> anyhow::Result<()> {
        if self.is_ours() {
            let (outcome, word) = task::cancelled(task);
            self.store(outcome).await?;
            self.bus.notify(word).await?;
            return Ok(());
        }
        let subject = format!("{}.workflow.signalled.-.-.{}.cancel.check", self.bus.namespace(), task.run());
        let signal = Message { subject, headers: Default::default(), payload: Default::default() };
        self.store(Publish::once(signal)).await.map(drop)
    }
}
