//! Work that takes long, and more of it than the agent may be able to do at once.

use std::time::{Duration, Instant};

use mesh_bus::topology::AGENT_ACK_WAIT;

use crate::commands::agent::check::Settings;
use crate::commands::agent::check::bench::{self, Outcome, Place, Stage, Task, Word, Work};
use crate::commands::agent::check::report::{Findings, Verdict};
use crate::commands::agent::check::rule::Rule;

pub(super) const RULES: &[Rule] = &[Rule::InProgress, Rule::HoldsOnlyWork];

/// Tasks that are given at once.
const TASKS: usize = 3;
/// How long an agent gets to take as many of them as it will.
const TAKING: Duration = Duration::from_secs(1);
/// Pause before the consumer is looked at again.
const LOOK: Duration = Duration::from_millis(100);

pub(super) async fn run(place: &Place, settings: &Settings) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let Some(input) = &settings.slow_input else { return Ok(findings) };
    let mut stage = place.stage("long", settings).await?;
    stage.start_agent()?;
    // One that has done something is ready: what it takes from here on it takes at once.
    if let Err(found) = stage.goes_on().await? {
        findings.broken(Rule::InProgress, found);
        return Ok(findings);
    }
    let is_alone = stage.progress().await?.in_hand == 0;
    let mut tasks = Vec::new();
    for _ in 0..TASKS {
        tasks.push(stage.give(&Work::of(input)).await?);
    }
    let given = Instant::now();
    let held = held(&stage, given + TAKING).await?;
    let first = stage.until(settings.timeout, |seen| {
        tasks.iter().find_map(|task| Some((task.clone(), bench::outcomes(seen, task).into_iter().next()?)))
    });
    let Some((task, outcome)) = first.await else {
        findings.broken(Rule::InProgress, format!("no outcome: {}", stage.why_none(&tasks[0]).await));
        return Ok(findings);
    };
    findings.note(Rule::InProgress, marks(&stage, &task, &outcome));
    findings.note(
        Rule::HoldsOnlyWork,
        match is_alone {
            true => works_on(&stage, &tasks, held, outcome.at - given).await,
            false => Verdict::Untried("tasks of others are under way".to_owned()),
        },
    );
    Ok(findings)
}

/// The most tasks that the agent held at once until a moment.
async fn held(stage: &Stage<'_>, until: Instant) -> anyhow::Result<u64> {
    let mut most = 0;
    while Instant::now() < until {
        most = most.max(stage.progress().await?.in_hand);
        tokio::time::sleep(LOOK).await;
    }
    Ok(most)
}

/// Whether the longest silence about a task was shorter than the server's patience.
fn marks(stage: &Stage<'_>, task: &Task, outcome: &Outcome) -> Verdict {
    let mut moments = vec![task.given];
    let words = stage.watch.look(|seen| bench::words(seen, task));
    let marks = words.iter().filter(|(word, _)| *word == Word::Progress);
    moments.extend(marks.map(|(_, at)| *at).filter(|at| *at < outcome.at));
    let is_marked = moments.len() > 1;
    moments.push(outcome.at);
    let silence = moments.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    if silence >= AGENT_ACK_WAIT {
        return Verdict::Broken(format!("nothing was heard of it for {:.1} s", silence.as_secs_f32()));
    }
    if is_marked {
        return Verdict::Kept;
    }
    Verdict::Untried(format!(
        "the work was over after {:.1} s and was not marked until then: whether it would be is seen with a \
         --slow-input that takes more than {} s",
        silence.as_secs_f32(),
        AGENT_ACK_WAIT.as_secs(),
    ))
}

/// Whether all tasks that were held end at about the same time, so that none waited for another.
async fn works_on(stage: &Stage<'_>, tasks: &[Task], held: u64, took: Duration) -> Verdict {
    if took < TAKING {
        return Verdict::Untried(format!("the slow input took less than {} s", TAKING.as_secs()));
    }
    let ended = |seen: &[bench::Seen]| {
        tasks.iter().filter(|task| !bench::outcomes(seen, task).is_empty()).count() as u64
    };
    let all = stage.until(took / 2 + TAKING, |seen| (ended(seen) >= held).then_some(())).await;
    match all {
        Some(()) => Verdict::Kept,
        None => {
            Verdict::Broken(format!("it had taken {held} tasks, and worked on {}", stage.watch.look(ended)))
        }
    }
}
