use chrono::SecondsFormat;

use super::figures::{Figures, TaskFigures};
use super::insights::percent;
use super::sample::Quantiles;
use crate::output;
use crate::terminal::{Colour, Terminal};
use crate::text::{millis, one_line, took};

/// Open runs that are shown: those that began first.
const OPEN: usize = 3;

pub(super) fn print(figures: &Figures) -> anyhow::Result<()> {
    let terminal = Terminal::of_stdout();
    let runs = &figures.runs;
    let since = figures.since.to_rfc3339_opts(SecondsFormat::Secs, true);
    output::line(
        &terminal.paint(&format!("{}  runs that began since {since}", figures.workflow), Colour::Bold),
    )?;
    let stands = [
        (runs.completed, "completed"),
        (runs.failed, "failed"),
        (runs.cancelled, "cancelled"),
        (runs.running, "running"),
        (runs.paused, "paused"),
        (runs.unreadable, "gone"),
    ];
    let stands: Vec<String> = stands
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, how)| format!("{number} {how}"))
        .collect();
    let stands = if stands.is_empty() { String::new() } else { format!(": {}", stands.join(", ")) };
    output::line(&format!("runs      {}{stands}", runs.started + runs.unreadable))?;
    if let Some(rate) = runs.success_rate {
        output::line(&format!("success   {} of those that completed or failed", percent(rate)))?;
    }
    if !runs.failures.is_empty() {
        output::line(&format!("failures  {}", codes(&runs.failures)))?;
    }
    if let Some(Quantiles { p50_ms, p90_ms, p99_ms, max_ms, .. }) = figures.duration {
        let [p50, p90, p99, max] = [p50_ms, p90_ms, p99_ms, max_ms].map(took);
        output::line(&format!("duration  p50 {p50}, p90 {p90}, p99 {p99}, longest {max} (completed runs)"))?;
    }
    if figures.critical_ms > 0 {
        let mut kinds: Vec<_> = figures.time.iter().filter(|(_, ms)| **ms > 0).collect();
        kinds.sort_by_key(|(_, ms)| std::cmp::Reverse(**ms));
        let share = |ms: u64| percent(super::figures::share(ms, figures.critical_ms));
        let kinds: Vec<String> =
            kinds.iter().map(|(kind, ms)| format!("{} {}", kind.as_str(), share(**ms))).collect();
        output::line(&format!("time      {} (critical paths)", kinds.join(", ")))?;
    }
    for open in figures.open.iter().take(OPEN) {
        let since = took(millis(open.started, figures.until));
        let waits =
            open.waiting_for.first().map(|waits| format!(": {}", one_line(waits))).unwrap_or_default();
        output::line(&terminal.fit(&format!("open      {} for {since}{waits}", open.run)))?;
    }
    if !figures.tasks.is_empty() {
        output::line("")?;
        let mut rows: Vec<_> = figures.tasks.iter().collect();
        rows.sort_by(|(_, a), (_, b)| b.critical_share.total_cmp(&a.critical_share));
        let rows: Vec<_> = rows.into_iter().map(|(task, figures)| row(task.as_str(), figures)).collect();
        let heading = [
            "TASK",
            "ATTEMPTS",
            "RETRIES",
            "FAILED",
            "WAIT p50/p90",
            "WORK p50/p90",
            "OF THE TIME",
            "FAILURES",
        ];
        output::table(heading, &rows)?;
    }
    if figures.tasks_left_out {
        output::line("… and tasks of other names, which are not counted")?;
    }
    if !figures.insights.is_empty() {
        output::line("")?;
    }
    for insight in &figures.insights {
        output::line(&terminal.paint(&format!("! {}", insight.finding), Colour::Yellow))?;
        output::line(&format!("  → {}", insight.advice))?;
    }
    if figures.insights.is_empty() && runs.started > 0 {
        output::line("\nnothing stands out")?;
    }
    Ok(())
}

fn row(task: &str, figures: &TaskFigures) -> [String; 8] {
    let both = |quantiles: Option<Quantiles>| {
        quantiles.map_or_else(String::new, |found| format!("{}/{}", took(found.p50_ms), took(found.p90_ms)))
    };
    [
        task.to_owned(),
        figures.attempts.to_string(),
        figures.retries.to_string(),
        if figures.failed == 0 {
            String::new()
        } else {
            format!("{} ({})", figures.failed, percent(figures.failure_rate()))
        },
        both(figures.wait),
        both(figures.work),
        percent(figures.critical_share),
        codes(&figures.failures),
    ]
}

fn codes(codes: &std::collections::BTreeMap<String, u64>) -> String {
    let mut codes: Vec<_> = codes.iter().collect();
    codes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    codes.iter().map(|(code, count)| format!("{} {count}", one_line(code))).collect::<Vec<_>>().join(", ")
}
