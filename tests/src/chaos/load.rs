//! The work that the mesh does meanwhile.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, From, RunOutcome, submit};
use mesh_schemas::{RunId, StoredMessage, Subject};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Campaign, millis};
use crate::world::World;

/// Three tasks in a row, of which the second may fail at first, with a pause that is a timer.
const CHAIN: &str = "
mesh: v1
name: chain
output: '${tasks.c.output}'
tasks:
  a: {agent: work, with: {value: '${input.n}', ms: '${input.ms}'}}
  b:
    agent: work
    with: {value: '${tasks.a.output}', ms: 0, failures: '${input.n % 4 == 0 ? 1 : 0}'}
    needs: [a]
    retry: {max_attempts: 3, initial: 200ms, jitter: 0}
  c: {agent: work, needs: [b], with: {value: '${tasks.b.output}', ms: 0}}
";

/// Four tasks side by side, and one that takes what they made.
const FAN: &str = "
mesh: v1
name: fan
output: '${tasks.join.output}'
tasks:
  a: {agent: work, with: {value: '${input.n}', ms: '${input.ms}'}}
  b: {agent: work, with: {value: '${input.n}', ms: 0}}
  c: {agent: work, with: {value: '${input.n}', ms: '${input.ms}'}}
  d: {agent: work, with: {value: '${input.n}', ms: 0}}
  join:
    agent: work
    needs: [a, b, c, d]
    with: {value: '${tasks.a.output + tasks.b.output + tasks.c.output + tasks.d.output}', ms: 0}
";

/// How long nothing may end before a campaign is taken to stand still.
const STANDSTILL: Duration = Duration::from_secs(90);

/// What an agent is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// What to return.
    pub value: Value,
    /// How long it takes, in milliseconds.
    pub ms: u64,
    /// How many attempts fail.
    #[serde(default)]
    pub failures: u32,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    Completed(Value),
    Otherwise(String),
}

/// Every run that was asked for, and what became of it so far.
#[derive(Debug, Default)]
pub(super) struct Runs {
    pub(super) asked: BTreeMap<RunId, Asked>,
    pub(super) ends: BTreeMap<RunId, (End, u64)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) at: u64,
    pub(super) number: u64,
    is_fan: bool,
}

impl Asked {
    /// What the run must return.
    pub(super) fn output(&self) -> Value {
        json!(if self.is_fan { 4 * self.number } else { self.number })
    }

    /// How many tasks the run has, each with as many attempts as it needs.
    pub(super) fn attempts(&self) -> usize {
        match (self.is_fan, self.number % 4) {
            (true, _) => 5,
            (false, 0) => 4,
            (false, _) => 3,
        }
    }
}

pub(super) async fn apply(world: &World) -> Result<()> {
    world.apply(CHAIN).await?;
    world.apply(FAN).await
}

/// Keeps runs going until all have been asked for, says that `over` is true, and waits until all have ended.
pub(super) async fn keep(world: &World, campaign: &Campaign, over: &watch::Sender<bool>) -> Result<Runs> {
    let (count, in_flight) = (campaign.runs, campaign.in_flight);
    let runs = Mutex::new(Runs::default());
    let (sender, mut ended) = watch::channel(0_u64);
    let mut dice = fastrand::Rng::with_seed(campaign.seed);
    let ask = async {
        for number in 0..count {
            until(&mut ended, |ended| number < ended + in_flight).await?;
            let is_fan = dice.u8(0..3) == 0;
            // Now and then a task takes long enough to be in the middle of something when its agent dies.
            let ms = if dice.u8(0..20) == 0 { dice.u64(100..400) } else { dice.u64(0..20) };
            let workflow = if is_fan { "fan" } else { "chain" };
            let input = json!({ "n": number, "ms": ms });
            let request = world.request(workflow, &number.to_string(), input)?;
            let asked = Asked { at: millis(), number, is_fan };
            let run = world.run_of(&request).await?;
            lock(&runs).asked.insert(run, asked);
            submit(&*world.bus, &request).await.with_context(|| format!("request {number}"))?;
        }
        over.send_replace(true);
        until(&mut ended, |ended| ended >= count).await
    };
    tokio::select! {
        // Runs that have not ended are told in the account.
        asked = ask => if let Err(error) = asked { eprintln!("{error:#}"); },
        watched = watch(world, &runs, sender) => watched?,
    }
    over.send_replace(true);
    Ok(std::mem::take(&mut lock(&runs)))
}

/// Waits until enough runs have ended, as long as some do.
async fn until(ended: &mut watch::Receiver<u64>, enough: impl Fn(u64) -> bool) -> Result<()> {
    while !enough(*ended.borrow_and_update()) {
        let change = tokio::time::timeout(STANDSTILL, ended.changed()).await;
        change.context("no run has ended for too long")??;
    }
    Ok(())
}

/// Notes every end, over restarts of the server.
async fn watch(world: &World, runs: &Mutex<Runs>, ended: watch::Sender<u64>) -> Result<()> {
    let filters = vec![format!("{}.workflow.*.*.-.>", world.namespace)];
    let mut events = world.bus.follow(Stream::Events, filters, From::Begin).await?;
    while let Some(event) = events.next().await {
        // After an error the stream goes on where it was.
        let Ok(Some(stored)) = event else { continue };
        let Some((run, end)) = read(world, &stored)? else { continue };
        let mut runs = lock(runs);
        runs.ends.entry(run).or_insert_with(|| (end, millis()));
        ended.send_replace(runs.ends.len() as u64);
    }
    anyhow::bail!("the log cannot be followed any more")
}

fn read(world: &World, stored: &StoredMessage) -> Result<Option<(RunId, End)>> {
    let Some(run) = Subject::run_of(&world.namespace, &stored.message.subject) else { return Ok(None) };
    Ok(RunOutcome::read(&world.namespace, stored)?.map(|outcome| match outcome {
        RunOutcome::Completed(completed) => (run, End::Completed(completed.output)),
        other => (run, End::Otherwise(format!("{other:?}"))),
    }))
}

fn lock(runs: &Mutex<Runs>) -> MutexGuard<'_, Runs> {
    runs.lock().unwrap_or_else(PoisonError::into_inner)
}
