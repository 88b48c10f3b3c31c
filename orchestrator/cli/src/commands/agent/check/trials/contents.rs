//! What is in a task: more than the agent knows, something newer than it knows, or nothing that can be read.

use bytes::Bytes;
use mesh_schemas::TaskVerb;
use serde_json::{Value, json};

use super::judge::{self, accepted};
use crate::commands::agent::check::Settings;
use crate::commands::agent::check::bench::{self, Outcome, Place, SETTLE, Stage, Task, What, Word, Work};
use crate::commands::agent::check::report::Findings;
use crate::commands::agent::check::rule::Rule;

pub(super) const RULES: &[Rule] = &[
    Rule::IgnoresUnknown,
    Rule::LargeInput,
    Rule::StoredAlready,
    Rule::NewerSchema,
    Rule::GarbageSettled,
    Rule::GarbageSurvived,
];

pub(super) async fn run(place: &Place, settings: &Settings) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let mut stage = place.stage("contents", settings).await?;
    stage.start_agent()?;
    let usual = Work::of(&settings.input);
    let unknown = stage.outcome_of(&Work { with_unknown: true, ..usual.clone() }).await?;
    findings.judge(Rule::IgnoresUnknown, done(&stage, unknown).await);
    stage.revive_agent()?;
    let large = stage.outcome_of(&Work { by_reference: true, ..usual.clone() }).await?;
    findings.judge(Rule::LargeInput, done(&stage, large).await);
    stage.revive_agent()?;
    let task = stage.give_done(&usual).await?;
    findings.judge(Rule::StoredAlready, accepted(&stage, &task).await?);
    stage.revive_agent()?;
    let task = stage.give(&Work { schema: 2, ..usual }).await?;
    findings.judge(Rule::NewerSchema, given_back(&stage, &task).await);
    stage.revive_agent()?;
    garbage(&mut findings, &stage).await?;
    Ok(findings)
}

async fn done(stage: &Stage<'_>, (task, outcome): (Task, Option<Outcome>)) -> Result<(), String> {
    match outcome {
        Some(outcome) if outcome.verb == TaskVerb::Completed => Ok(()),
        Some(outcome) => Err(judge::tell(&outcome)),
        None => Err(stage.why_none(&task).await),
    }
}

async fn given_back(stage: &Stage<'_>, task: &Task) -> Result<(), String> {
    let first = stage.until(SETTLE.max(stage.settings.timeout), |seen| {
        let back = bench::words(seen, task).iter().any(|(word, _)| *word == Word::Nak);
        let outcome = bench::outcomes(seen, task).into_iter().next();
        if back { Some(Ok(())) } else { outcome.map(|outcome| Err(judge::tell(&outcome))) }
    });
    first.await.unwrap_or_else(|| Err("it was neither given back nor done".to_owned()))
}

/// Tasks that nobody can read, with what is wrong with them. There is no input in any of them that could be taken.
fn unreadable() -> Vec<(&'static str, Bytes)> {
    let event = |data: Value| {
        let mut event = json!({"specversion": "1.0", "id": "x", "source": "/check", "type": "task.created"});
        event["data"] = data;
        Bytes::from(event.to_string())
    };
    vec![
        ("an empty message", Bytes::new()),
        ("cut JSON", Bytes::from_static(b"{\"specversion\": \"1.0\", \"da")),
        ("bytes that are no text", Bytes::from_static(b"\xff\xfe\x00\x9f")),
        ("a number", Bytes::from_static(b"42")),
        ("a list", Bytes::from_static(b"[]")),
        ("a text", Bytes::from_static(b"\"task\"")),
        ("null", Bytes::from_static(b"null")),
        ("an event whose data is a text", event(json!("do it"))),
        ("an event whose data is a list", event(json!([1, 2]))),
        ("an event whose data is null", event(Value::Null)),
    ]
}

async fn garbage(findings: &mut Findings, stage: &Stage<'_>) -> anyhow::Result<()> {
    let mut tasks = Vec::new();
    for (what, payload) in unreadable() {
        let work = Work { garbage: Some(payload), ..Work::of(&Value::Null) };
        tasks.push((what, stage.give(&work).await?));
    }
    let mut wrong = Vec::new();
    for (what, task) in &tasks {
        match settled(stage, task).await {
            Ok(()) => {}
            Err(_) if stage.has_ended() => {
                wrong.push(stage.how_it_ended());
                break;
            }
            Err(found) => wrong.push(format!("{what} {found}")),
        }
    }
    findings.judge(Rule::GarbageSettled, if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) });
    let survived = if stage.has_ended() { Err(stage.how_it_ended()) } else { stage.goes_on().await? };
    findings.judge(Rule::GarbageSurvived, survived);
    Ok(())
}

/// Whether it is told that a task cannot be read, and the task is done with.
async fn settled(stage: &Stage<'_>, task: &Task) -> Result<(), String> {
    let subject = task.subject(TaskVerb::Created);
    let limit = stage.settings.timeout;
    if !stage.is_settled(task, limit).await {
        return Err("was not acknowledged".to_owned());
    }
    let told = stage.until(SETTLE.min(limit), |seen| {
        let letter = seen.iter().any(|seen| matches!(&seen.what, What::Letter(about) if *about == subject));
        let outcome = bench::outcomes(seen, task).first().map(|outcome| outcome.verb);
        match outcome {
            Some(TaskVerb::Completed) => Some(Err("was completed".to_owned())),
            Some(_) => Some(Ok(())),
            None => letter.then_some(Ok(())),
        }
    });
    told.await.unwrap_or_else(|| Err("neither failed nor became a dead letter".to_owned()))
}
