//! One task: taken, done, told, acknowledged. And what the agent says of itself.

use std::time::{Duration, Instant};

use mesh_bus::Bus as _;
use mesh_bus::topology::Bucket;
use mesh_schemas::TaskVerb;
use mesh_schemas::payload::AgentRegistered;
use serde_json::Value;

use super::judge;
use crate::commands::agent::check::Settings;
use crate::commands::agent::check::bench::{self, Outcome, Place, SETTLE, Stage, Task, Word, Work};
use crate::commands::agent::check::report::Findings;
use crate::commands::agent::check::rule::Rule;

pub(super) const RULES: &[Rule] = &[
    Rule::TakesWork,
    Rule::Completes,
    Rule::OutcomeReadable,
    Rule::OutcomeIdentity,
    Rule::OutcomeLinked,
    Rule::Acks,
    Rule::AcksAfterOutcome,
    Rule::Registered,
    Rule::Service,
];

/// How long an agent that has done a task may take to be in the registry.
const REGISTRATION: Duration = Duration::from_secs(3);
/// Pause before the registry is looked at again.
const LOOK: Duration = Duration::from_millis(100);
/// How long answers to `$SRV.PING` are waited for.
const ANSWERS: Duration = Duration::from_millis(500);
/// Type of an answer to `$SRV.PING` (NATS ADR-32).
const PONG: &str = "io.nats.micro.v1.ping_response";
/// What of one client is seen in another order than it was sent is not further apart than this.
const DISORDER: Duration = Duration::from_millis(50);

pub(super) async fn run(place: &Place, settings: &Settings) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let mut stage = place.stage("first", settings).await?;
    stage.start_agent()?;
    let (task, outcome) = stage.outcome_of(&Work::of(&settings.input)).await?;
    let Some(outcome) = outcome else {
        findings.broken(Rule::TakesWork, stage.why_none(&task).await);
        return Ok(findings);
    };
    findings.judge(Rule::TakesWork, Ok(()));
    let completed = outcome.verb == TaskVerb::Completed;
    findings.judge(Rule::Completes, if completed { Ok(()) } else { Err(judge::tell(&outcome)) });
    judge::form(&mut findings, &task, &outcome);
    let acked = stage.is_settled(&task, SETTLE).await;
    findings.judge(
        Rule::Acks,
        acked.then_some(()).ok_or_else(|| format!("it was not within {} s", SETTLE.as_secs())),
    );
    // Where the agent is ours, another trial finds out for sure.
    if place.is_live() {
        findings.judge(Rule::AcksAfterOutcome, order(&stage, &task, &outcome));
    }
    let registered = registration(&stage).await?;
    let name = registered.as_ref().map_or(settings.capability.as_str(), |agent| agent.type_.as_str());
    let services = services(&stage).await?;
    let answered = services.iter().any(|service| !place.is_live() || service == name);
    findings.judge(
        Rule::Service,
        answered.then_some(()).ok_or_else(|| match place.is_live() {
            true => format!("nobody called '{name}' answered"),
            false => "nobody answered".to_owned(),
        }),
    );
    let is_there = registered.is_some();
    findings.judge(
        Rule::Registered,
        is_there.then_some(()).ok_or_else(|| "no entry names the capability".to_owned()),
    );
    Ok(findings)
}

/// Whether the acknowledgement was sent after the outcome, as far as that can be seen from outside.
fn order(stage: &Stage<'_>, task: &Task, outcome: &Outcome) -> Result<(), String> {
    let (sent, acked) = stage.watch.look(|seen| {
        let sent = bench::attempts(seen, task).first().map(|(_, at)| *at);
        let acked =
            bench::words(seen, task).into_iter().find(|(word, _)| *word == Word::Ack).map(|(_, at)| at);
        (sent.unwrap_or(outcome.at), acked)
    });
    match acked {
        Some(acked) if acked + DISORDER < sent => {
            Err(format!("it was acknowledged {} ms before the outcome was sent", (sent - acked).as_millis()))
        }
        _ => Ok(()),
    }
}

/// The entry of an agent with the capability.
async fn registration(stage: &Stage<'_>) -> anyhow::Result<Option<AgentRegistered>> {
    let give_up = Instant::now() + REGISTRATION;
    loop {
        let entries = stage.bus.entries(Bucket::Agents).await?;
        let mut agents =
            entries.iter().filter_map(|entry| serde_json::from_slice::<AgentRegistered>(&entry.value).ok());
        let found = agents.find(|agent| agent.capabilities.contains(&stage.settings.capability));
        if found.is_some() || Instant::now() >= give_up {
            return Ok(found);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The names of all services that answer.
async fn services(stage: &Stage<'_>) -> anyhow::Result<Vec<String>> {
    let answers = stage.bus.answers("$SRV.PING", ANSWERS).await?;
    let read = |answer: &mesh_schemas::Message| {
        let pong: Value = serde_json::from_slice(&answer.payload).ok()?;
        (pong["type"] == PONG).then(|| pong["name"].as_str().map(ToOwned::to_owned))?
    };
    Ok(answers.iter().filter_map(read).collect())
}
