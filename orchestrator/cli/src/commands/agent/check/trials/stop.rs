//! SIGTERM, to an agent at work.

use std::time::{Duration, Instant};

use mesh_schemas::TaskVerb;

use crate::commands::agent::check::Settings;
use crate::commands::agent::check::bench::{self, Place, Stage, Task, Word, Work};
use crate::commands::agent::check::report::{Findings, Verdict};
use crate::commands::agent::check::rule::Rule;

pub(super) const RULES: &[Rule] = &[Rule::StopEnds, Rule::StopHandsBack, Rule::StopTakesNothing];

/// Longest time that an agent may take to end: what container runtimes and service managers wait, more or less.
const END: Duration = Duration::from_secs(30);
/// From this long after SIGTERM on, no work is begun: a request for work may have been open.
const LAST_PULL: Duration = Duration::from_secs(2);
/// How long the last words of an agent may be on their way.
const AFTERMATH: Duration = Duration::from_secs(1);

pub(super) async fn run(place: &Place, settings: &Settings) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let mut stage = place.stage("stop", settings).await?;
    stage.start_agent()?;
    if let Err(found) = stage.goes_on().await? {
        findings.broken(Rule::StopEnds, found);
        return Ok(findings);
    }
    let Some(input) = &settings.slow_input else {
        stage.terminate()?;
        findings.judge(Rule::StopEnds, stage.ends_well(END).await?);
        return Ok(findings);
    };
    let running = stage.give(&Work::of(input)).await?;
    if !stage.is_taken(&running).await? {
        findings.broken(Rule::StopHandsBack, stage.why_none(&running).await);
        return Ok(findings);
    }
    let asked = Instant::now();
    stage.terminate()?;
    // Until then it may have had a request for work open.
    let quick = tokio::time::timeout(LAST_PULL, stage.ends_well(END)).await;
    let late = stage.give(&Work::of(&settings.input)).await?;
    let ended = match quick {
        Ok(ended) => ended?,
        Err(_) => stage.ends_well(END.saturating_sub(asked.elapsed())).await?,
    };
    findings.judge(Rule::StopEnds, ended);
    findings.note(Rule::StopHandsBack, hands_back(&stage, [&running, &late]).await?);
    let begun = stage.watch.look(|seen| !bench::outcomes(seen, &late).is_empty());
    let found = format!("a task that was given {} s later was done", LAST_PULL.as_secs());
    findings.judge(Rule::StopTakesNothing, if begun { Err(found) } else { Ok(()) });
    Ok(findings)
}

/// Whether everything that was taken has an outcome or was given back.
async fn hands_back(stage: &Stage<'_>, tasks: [&Task; 2]) -> anyhow::Result<Verdict> {
    let taken = stage.progress().await?.sequence;
    for (task, name) in tasks.into_iter().zip(["the task at hand", "a task that came later"]) {
        if task.sequence > taken {
            continue;
        }
        let last_word = |seen: &[bench::Seen]| {
            let mut words = bench::words(seen, task).into_iter().map(|(word, _)| word);
            words.rfind(|word| *word != Word::Progress)
        };
        let Some(word) = stage.until(AFTERMATH, last_word).await else {
            return Ok(Verdict::Broken(format!("{name} was left as it was: it comes again only after 30 s")));
        };
        let outcome = stage.watch.look(|seen| bench::outcomes(seen, task).into_iter().next());
        match outcome {
            Some(outcome) if outcome.verb == TaskVerb::Failed => {
                return Ok(Verdict::Broken(format!("{name} failed: {}", super::judge::tell(&outcome))));
            }
            None if word != Word::Nak => {
                return Ok(Verdict::Broken(format!("{name} was acknowledged without an outcome")));
            }
            _ => {}
        }
    }
    Ok(Verdict::Kept)
}
