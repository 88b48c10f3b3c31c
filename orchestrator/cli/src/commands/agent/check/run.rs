//! Which trials are made, and when.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::Settings;
use super::bench::Place;
use super::report::{Findings, Verdict};
use super::rule::{Need, Rule};
use super::trials::{FIRST, OTHERS, Trial};

/// Tries all rules that were asked for and can be tried, several at once.
pub(super) async fn all(place: &Place, settings: &Settings) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let wanted = |trial: &Trial| {
        (trial.live || !place.is_live())
            && trial.rules.iter().any(|rule| can_be_tried(place, settings, *rule))
    };
    eprintln!("trying agents of '{}'; this takes as long as a few of their slow tasks", settings.capability);
    let first = (FIRST.run)(place, settings).await?;
    let works = first.get(Rule::TakesWork) == Some(&Verdict::Kept);
    findings.add(first);
    if works {
        // In a mesh that others use all trials share one consumer, and would be in each other's way.
        let jobs = if place.is_live() { 1 } else { settings.jobs };
        let trials = OTHERS.iter().filter(|trial| wanted(trial)).map(|trial| (trial.run)(place, settings));
        let all: Vec<Findings> = stream::iter(trials).buffer_unordered(jobs).try_collect().await?;
        all.into_iter().for_each(|found| findings.add(found));
    }
    Ok(complete(place, settings, findings))
}

/// What was asked for: also the rules that could not be tried, and nothing that was tried by the way.
fn complete(place: &Place, settings: &Settings, found: Findings) -> Findings {
    let mut asked = Findings::default();
    let takes_work = found.get(Rule::TakesWork);
    // Without that the rest says nothing.
    if let Some(broken @ Verdict::Broken(_)) = takes_work {
        asked.note(Rule::TakesWork, broken.clone());
    }
    for rule in &settings.rules {
        let verdict = match (found.get(*rule), lacking(place, settings, *rule)) {
            (Some(verdict), _) => verdict.clone(),
            (None, Some(why)) => Verdict::Untried(why),
            (None, None) if matches!(takes_work, Some(Verdict::Broken(_))) => {
                Verdict::Untried("the agent takes no work".to_owned())
            }
            (None, None) => Verdict::Untried("another rule that was tried before is broken".to_owned()),
        };
        asked.note(*rule, verdict);
    }
    asked
}

fn can_be_tried(place: &Place, settings: &Settings, rule: Rule) -> bool {
    settings.rules.contains(&rule) && lacking(place, settings, rule).is_none()
}

/// What a rule cannot be tried without, if it is not there.
fn lacking(place: &Place, settings: &Settings, rule: Rule) -> Option<String> {
    let is_missing = |need: &&Need| match need {
        Need::BadInput => settings.bad_input.is_none(),
        Need::SlowInput => settings.slow_input.is_none(),
        Need::Command => place.is_live(),
    };
    let missing: Vec<&str> = rule.facts().needs.iter().filter(is_missing).map(|need| need.flag()).collect();
    (!missing.is_empty()).then(|| format!("it is tried with {}", missing.join(" and ")))
}
