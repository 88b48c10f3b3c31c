//! What stands out, and what to do about it.

use mesh_schemas::TaskId;
use serde::Serialize;

use super::figures::{Figures, OpenRun, TaskFigures, share};
use crate::text::{millis, one_line, took};
use crate::words::count;

/// From how many attempts or runs on their figures tell something: fewer may be chance.
const ENOUGH: u64 = 5;
/// Below this share of runs that complete, that is told.
const FEW_COMPLETE: f64 = 0.95;
/// Above this share of attempts of a task that fail, that is told.
const MANY_FAIL: f64 = 0.05;
/// Above this share of attempts that are not the first ones, that is told.
const MANY_RETRIES: f64 = 0.10;
/// If one in ten attempts of a task takes so many times as long as half of them, that is told.
const SPREAD: u64 = 3;
/// From this share of the critical paths on, one task is what holds runs up.
const MOST_OF_THE_TIME: f64 = 0.60;
/// An open run is told of if it has taken so many times as long as nine of ten.
const LATE: u64 = 3;
/// Whatever takes less than this is too short to wonder about, in milliseconds.
const SHORT_MS: u64 = 100;
/// Open runs that are named.
const NAMED: usize = 5;

/// Something that stands out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Insight {
    /// What kind of thing it is, for programs.
    pub(super) about: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) task: Option<TaskId>,
    pub(super) finding: String,
    /// What to do.
    pub(super) advice: String,
}

/// All that stands out, what is worst first.
pub(super) fn insights(figures: &Figures) -> Vec<Insight> {
    let mut insights: Vec<Insight> = success(figures).into_iter().collect();
    insights.extend(stuck(figures));
    insights.extend(late(figures));
    let tasks = || figures.tasks.iter();
    insights.extend(tasks().filter_map(|(task, figures)| failing(task, figures)));
    insights.extend(retries(figures));
    insights.extend(tasks().filter_map(|(task, figures)| waiting(task, figures)));
    insights.extend(tasks().filter_map(|(task, figures)| spread(task, figures)));
    insights.extend(largest(figures));
    insights
}

fn success(figures: &Figures) -> Option<Insight> {
    let rate = figures.runs.success_rate.filter(|rate| *rate < FEW_COMPLETE)?;
    let (failed, all) = (figures.runs.failed, figures.runs.failed + figures.runs.completed);
    let code = most(&figures.runs.failures);
    Some(Insight {
        about: "success",
        task: None,
        finding: format!("{} of {} failed ({} went well){code}", failed, count(all, "run"), percent(rate)),
        advice: format!(
            "`mesh runs list --workflow {} --status failed` names them, and `mesh trace RUN` shows where one failed",
            figures.workflow
        ),
    })
}

/// Runs that wait for what nobody does.
fn stuck(figures: &Figures) -> Option<Insight> {
    let stuck: Vec<&OpenRun> = figures.open.iter().filter(|open| open.is_stuck).collect();
    let first = stuck.first()?;
    let waits = first.waiting_for.first().map(|waits| one_line(waits)).unwrap_or_default();
    Some(Insight {
        about: "stuck_runs",
        task: None,
        finding: format!("{} for what nobody does: {}: {waits}", waiting_runs(stuck.len()), first.run),
        advice: "start an agent that has the capability; `mesh doctor` names those that nobody serves"
            .to_owned(),
    })
}

fn waiting_runs(number: usize) -> String {
    if number == 1 { "1 run waits".to_owned() } else { format!("{number} runs wait") }
}

/// Runs that take longer than nine of ten by far.
fn late(figures: &Figures) -> Option<Insight> {
    let usual = figures.duration.filter(|duration| duration.count >= ENOUGH)?.p90_ms;
    let limit = usual.max(SHORT_MS) * LATE;
    let is_late = |open: &&OpenRun| millis(open.started, figures.until) > limit;
    let late: Vec<_> = figures.open.iter().filter(is_late).collect();
    let first = late.first()?;
    let oldest = first.run;
    let named: Vec<String> = late.iter().take(NAMED).map(|open| open.run.to_string()).collect();
    let more = if late.len() > NAMED { " …" } else { "" };
    let waits = first.waiting_for.first().map(|waits| format!("; {oldest}: {}", one_line(waits)));
    let waits = waits.unwrap_or_default();
    Some(Insight {
        about: "late_runs",
        task: None,
        finding: format!(
            "{} for more than {LATE} times as long as nine of ten take ({}): {}{more}{waits}",
            if late.len() == 1 {
                "1 run has been going on".to_owned()
            } else {
                format!("{} runs have been going on", late.len())
            },
            took(usual),
            named.join(", "),
        ),
        advice: format!("`mesh trace {oldest}` shows what it waits for; `mesh runs cancel` ends a run"),
    })
}

fn failing(task: &TaskId, figures: &TaskFigures) -> Option<Insight> {
    let rate = figures.failure_rate();
    (figures.ended >= ENOUGH && rate > MANY_FAIL).then(|| Insight {
        about: "failing_task",
        task: Some(task.clone()),
        finding: format!(
            "task '{task}' failed in {} of {}{}",
            percent(rate),
            count(figures.ended, "attempt"),
            most(&figures.failures)
        ),
        advice: "see what its agents say and log: what fails for good should be `retryable: false`, and what is only busy needs a longer \
                 `retry` pause"
            .to_owned(),
    })
}

fn retries(figures: &Figures) -> Option<Insight> {
    let (retries, attempts) = figures
        .tasks
        .values()
        .fold((0, 0), |(retries, attempts), task| (retries + task.retries, attempts + task.attempts));
    let rate = share(retries, attempts);
    let worst = figures.tasks.iter().max_by_key(|(_, task)| task.retries)?;
    (attempts >= ENOUGH && rate > MANY_RETRIES).then(|| Insight {
        about: "retries",
        task: None,
        finding: format!(
            "{} of {} are retries, {} of them of task '{}'",
            percent(rate),
            count(attempts, "attempt"),
            worst.1.retries,
            worst.0
        ),
        advice: "work is done more than once: mend what fails first, or give it longer before it is tried again (`retry: {initial, factor}`)"
            .to_owned(),
    })
}

/// Waits for an agent that are longer than the work.
fn waiting(task: &TaskId, figures: &TaskFigures) -> Option<Insight> {
    let wait = figures.wait.filter(|wait| wait.count >= ENOUGH && wait.p90_ms >= SHORT_MS)?;
    (figures.waits.sum > figures.works.sum).then(|| {
        let capability = figures.capability.as_deref().unwrap_or("-");
        let work = figures.work.map_or_else(|| "nothing yet".to_owned(), |work| took(work.p50_ms));
        Insight {
            about: "too_few_agents",
            task: Some(task.clone()),
            finding: format!(
                "task '{task}' waits longer for an agent than it is worked at: half of the waits take up to {}, one in ten {} or more; the \
                 work {work}",
                took(wait.p50_ms),
                took(wait.p90_ms)
            ),
            advice: format!(
                "there are too few agents with '{capability}': start more of them, or raise their --capacity; `mesh top` shows the queue"
            ),
        }
    })
}

fn spread(task: &TaskId, figures: &TaskFigures) -> Option<Insight> {
    let work = figures.work.filter(|work| work.count >= ENOUGH && work.p90_ms >= SHORT_MS)?;
    (work.p90_ms > work.p50_ms * SPREAD).then(|| Insight {
        about: "uneven_task",
        task: Some(task.clone()),
        finding: format!(
            "task '{task}' takes {} or less in half of the attempts, and {} or more in one of ten",
            took(work.p50_ms),
            took(work.p90_ms)
        ),
        advice: "look at a slow run with `mesh trace`: the inputs may be of different sizes, an agent slow, or a service behind it; a \
                 `timeout` bounds it"
            .to_owned(),
    })
}

/// One task that is most of what runs take.
fn largest(figures: &Figures) -> Option<Insight> {
    let ended = figures.runs.completed + figures.runs.failed + figures.runs.cancelled;
    let is_usual = |task: &&TaskFigures| task.critical_share > MOST_OF_THE_TIME;
    let (task, found) = figures.tasks.iter().find(|(_, task)| is_usual(task))?;
    (ended >= ENOUGH && figures.tasks.len() > 1).then(|| Insight {
        about: "largest_task",
        task: Some(task.clone()),
        finding: format!("task '{task}' is {} of the time that runs take", percent(found.critical_share)),
        advice: "only if it is quicker, or split into parts that are done side by side (`foreach`), runs are quicker"
            .to_owned(),
    })
}

/// The code that is there most often.
fn most(codes: &std::collections::BTreeMap<String, u64>) -> String {
    let most = codes.iter().max_by_key(|(_, count)| **count);
    most.map(|(code, count)| format!(", most often with `{}` ({count} times)", one_line(code)))
        .unwrap_or_default()
}

/// From 0 to 1, in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}
