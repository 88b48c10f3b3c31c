//! One trial: a namespace, what is seen in it, and the agent.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use mesh_bus::nats::settings::variable;
use mesh_bus::nats::{NatsBus, Word};
use mesh_bus::topology::agent_consumer;
use mesh_bus::{Bus as _, ConsumerSpec, Subscription};
use mesh_schemas::Lane;
use tokio::process::Command;

use super::mesh::{self, Progress};
use super::task::Task;
use super::watch::{self, Outcome, Seen, Watch, What};
use crate::commands::agent::check::Settings;
use crate::process::{Process, without};

/// How long what an agent did last may be on its way when it has ended.
const AFTERMATH: Duration = Duration::from_millis(500);
/// How long the acknowledgement of a task may take whose outcome is stored.
pub(in super::super) const SETTLE: Duration = Duration::from_secs(10);
/// Pause before the consumer is looked at again.
const LOOK: Duration = Duration::from_millis(25);

/// How the agent is started.
pub(super) struct Launch<'a> {
    pub(super) command: &'a [String],
    pub(super) url: String,
    pub(super) log: PathBuf,
}

/// A trial under way. Dropping it kills the agent.
pub(in super::super) struct Stage<'a> {
    pub(in super::super) bus: Arc<NatsBus>,
    pub(in super::super) settings: &'a Settings,
    pub(in super::super) watch: Watch,
    launch: Option<Launch<'a>>,
    agent: Option<Process>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        bus: Arc<NatsBus>,
        settings: &'a Settings,
        watch: Watch,
        launch: Option<Launch<'a>>,
    ) -> Self {
        Self { bus, settings, watch, launch, agent: None }
    }

    /// Ends the trial, but not the agent.
    pub(in super::super) fn into_agent(self) -> Option<Process> {
        self.agent
    }

    /// Goes on with an agent of another trial.
    pub(in super::super) fn adopt(&mut self, agent: Option<Process>) {
        self.agent = agent;
    }

    /// Whether the agent is ours, and with it the mesh.
    pub(super) fn is_ours(&self) -> bool {
        self.launch.is_some()
    }

    /// Starts the agent, if it is ours to start.
    pub(in super::super) fn start_agent(&mut self) -> anyhow::Result<()> {
        if let Some(Launch { command, url, log }) = &self.launch {
            let prepare = |agent: &mut Command| {
                // Proof for another server would not let it into this one.
                without(agent, &["MESH_NATS_"]);
                agent.env(variable::URL, url).env(variable::NAMESPACE, self.bus.namespace().as_str());
            };
            self.agent = Some(Process::start(command, prepare, log)?);
        }
        Ok(())
    }

    /// Starts the agent anew if it has ended, so that one broken rule does not hide others.
    pub(in super::super) fn revive_agent(&mut self) -> anyhow::Result<()> {
        if self.has_ended() { self.start_agent() } else { Ok(()) }
    }

    /// The consumer that the agent pulls from.
    pub(in super::super) fn consumer(&self) -> ConsumerSpec {
        agent_consumer(self.bus.namespace(), &self.settings.capability, &Lane::Normal)
    }

    pub(in super::super) async fn make_consumer(&self) -> anyhow::Result<()> {
        Ok(self.bus.ensure_consumer(&self.consumer()).await?)
    }

    /// Waits for an outcome that the agent stores; not after the agent's end.
    pub(in super::super) async fn outcome(&self, task: &Task) -> Option<Outcome> {
        self.outcome_within(task, self.settings.timeout).await
    }

    pub(in super::super) async fn outcome_within(&self, task: &Task, limit: Duration) -> Option<Outcome> {
        self.until(limit, |seen| watch::outcomes(seen, task).into_iter().next()).await
    }

    /// Waits for the last word about a task: that it need not come again.
    pub(in super::super) async fn is_settled(&self, task: &Task, limit: Duration) -> bool {
        let last = |word: &(Word, Instant)| matches!(word.0, Word::Ack | Word::Term);
        self.until(limit, |seen| watch::words(seen, task).into_iter().find(last)).await.is_some()
    }

    /// Waits until the agent has taken a task; false if it does not.
    pub(in super::super) async fn is_taken(&self, task: &Task) -> anyhow::Result<bool> {
        let give_up = Instant::now() + self.settings.timeout;
        while Instant::now() < give_up && !self.has_ended() {
            if self.progress().await?.sequence >= task.sequence {
                return Ok(true);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(false)
    }

    /// Waits until something is seen, for a time at most; not after the agent's end.
    pub(in super::super) async fn until<T>(
        &self,
        limit: Duration,
        find: impl Fn(&[Seen]) -> Option<T>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            found = self.watch.until(limit, &find) => found,
            () = self.ended() => self.watch.until(AFTERMATH, &find).await,
        }
    }

    pub(in super::super) async fn progress(&self) -> anyhow::Result<Progress> {
        Ok(mesh::progress(&self.bus, &self.settings.capability).await?)
    }

    /// Has the log refuse outcomes, or take them again.
    pub(in super::super) async fn take_outcomes(&self, take: bool) -> anyhow::Result<()> {
        mesh::take_outcomes(&self.bus, take).await
    }

    /// What is asked of the server about the agent's consumer from now on.
    pub(in super::super) async fn questions(&self) -> anyhow::Result<Subscription> {
        let name = self.consumer().name;
        let all = self.bus.subscribe("$JS.API.CONSUMER.>").await?;
        Ok(all.filter(move |message| std::future::ready(message.subject.contains(&name))).boxed())
    }

    /// Waits until something is asked; not after the agent's end.
    pub(in super::super) async fn is_asked(&self, questions: &mut Subscription, limit: Duration) -> bool {
        tokio::select! {
            asked = tokio::time::timeout(limit, questions.next()) => matches!(asked, Ok(Some(_))),
            () = self.ended() => false,
        }
    }

    /// Waits for the end of the agent that we started.
    async fn ended(&self) {
        match &self.agent {
            Some(agent) => drop(agent.ended().await),
            None => std::future::pending().await,
        }
    }

    /// Whether the agent, if we started it, has ended.
    pub(in super::super) fn has_ended(&self) -> bool {
        self.agent.as_ref().is_some_and(|agent| agent.status().is_some())
    }

    /// Asks the agent to end, as a container's runtime does.
    pub(in super::super) fn terminate(&self) -> anyhow::Result<()> {
        self.process()?.terminate()
    }

    /// Waits for the agent's end; the error says how it ended if not with exit code 0, or that it did not.
    pub(in super::super) async fn ends_well(&self, limit: Duration) -> anyhow::Result<Result<(), String>> {
        let agent = self.process()?;
        Ok(match tokio::time::timeout(limit, agent.ended()).await {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(_) => Err(self.how_it_ended()),
            Err(_) => Err(format!("it was still there after {} s", limit.as_secs())),
        })
    }

    /// Kills the agent with SIGKILL.
    pub(in super::super) async fn kill(&self) -> anyhow::Result<()> {
        self.process()?.kill().await
    }

    fn process(&self) -> anyhow::Result<&Process> {
        self.agent.as_ref().context("this trial needs the command that starts the agent")
    }

    /// Why a task has no outcome, as far as it can be seen.
    pub(in super::super) async fn why_none(&self, task: &Task) -> String {
        if self.has_ended() {
            return self.how_it_ended();
        }
        let limit = self.settings.timeout.as_secs_f32();
        let elsewhere = self.watch.look(|seen| {
            seen.iter().find_map(|seen| match &seen.what {
                What::Published(message) if watch::is_stray_outcome(message, task) => {
                    Some(message.subject.clone())
                }
                _ => None,
            })
        });
        if let Some(subject) = elsewhere {
            return format!("an outcome was published on {subject}");
        }
        let found = match self.progress().await {
            Ok(progress) if progress.sequence >= task.sequence => {
                format!("it was pulled, and nothing was stored as its outcome within {limit} s")
            }
            _ => format!("nobody pulled it within {limit} s"),
        };
        format!("{found}{}", self.last_words())
    }

    /// How the agent ended, and what it printed last.
    pub(in super::super) fn how_it_ended(&self) -> String {
        let status = self.agent.as_ref().and_then(Process::status);
        let status = status.map_or_else(|| "how is not known".to_owned(), |status| status.to_string());
        format!("the agent ended ({status}){}", self.last_words())
    }

    /// What the agent printed last, if it did, to be added to what was found.
    fn last_words(&self) -> String {
        match self.agent.as_ref().map(Process::last_words) {
            Some(words) if !words.is_empty() => format!("; it printed last: {words}"),
            _ => String::new(),
        }
    }
}
