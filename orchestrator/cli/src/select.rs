//! Runs and times as people name them.

use std::str::FromStr;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, From};
use mesh_schemas::definition::Span;
use mesh_schemas::{ErrorCode, RunId, Subject};

use crate::failure::Failure;
use crate::follow::present;

/// How many of several runs are named in an error.
const NAMED: usize = 5;

/// A run: its id, a prefix of the id or of its UUID that no other run has, or `@last` for the newest.
#[derive(Debug, Clone)]
pub(crate) enum RunSelector {
    Id(RunId),
    Last,
    Prefix(String),
}

impl FromStr for RunSelector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "@last" {
            return Ok(Self::Last);
        }
        if let Ok(run) = text.parse() {
            return Ok(Self::Id(run));
        }
        let is_part = |c: char| c.is_ascii_hexdigit() || c == '-' || c == '.';
        if text.is_empty() || !text.chars().all(is_part) {
            return Err(
                "write a run id as `mesh start` printed it, the beginning of one, or @last".to_owned()
            );
        }
        Ok(Self::Prefix(text.to_ascii_lowercase()))
    }
}

impl RunSelector {
    /// The run that is meant.
    pub(crate) async fn resolve(&self, bus: &dyn Bus) -> anyhow::Result<RunId> {
        let started = format!("{}.workflow.started.*.-.*.*", bus.namespace());
        match self {
            Self::Id(run) => Ok(*run),
            Self::Last => {
                let last = match bus.last(Stream::Events, &started).await? {
                    Some(last) => last,
                    None => bus.last(Stream::History, &histories(bus)).await?.ok_or_else(no_runs)?,
                };
                Subject::parse(bus.namespace(), &last.message.subject)?.run().context("an event of a run")
            }
            Self::Prefix(prefix) => {
                let mut found = matching(bus, Stream::Events, &started, prefix).await?;
                if found.is_empty() {
                    found = matching(bus, Stream::History, &histories(bus), prefix).await?;
                    found.dedup();
                }
                one_of(prefix, found)
            }
        }
    }
}

/// The subjects of the histories of all runs.
fn histories(bus: &dyn Bus) -> String {
    format!("{}.history.*.*.*.*", bus.namespace())
}

async fn matching(bus: &dyn Bus, stream: Stream, subjects: &str, prefix: &str) -> anyhow::Result<Vec<RunId>> {
    let mut events = present(bus, stream, vec![subjects.to_owned()], From::Begin).await?;
    let mut found = Vec::new();
    while let Some(stored) = events.try_next().await? {
        let run =
            Subject::parse(bus.namespace(), &stored.message.subject).ok().and_then(|subject| subject.run());
        found.extend(run.filter(|run| begins(run, prefix)));
    }
    Ok(found)
}

fn no_runs() -> Failure {
    let message = "@last is the newest run, and there are no runs yet: `mesh start NAME` starts one";
    Failure::new(ErrorCode::UnknownRun, message)
}

/// Whether a run is one that a prefix may mean.
pub(crate) fn begins(run: &RunId, prefix: &str) -> bool {
    run.to_string().starts_with(prefix) || run.uuid().to_string().starts_with(prefix)
}

/// The one run that a prefix means of those that begin so.
pub(crate) fn one_of(prefix: &str, found: Vec<RunId>) -> anyhow::Result<RunId> {
    let message = match found.as_slice() {
        [run] => return Ok(*run),
        [] => format!("no run begins with '{prefix}': `mesh runs list` shows those there are"),
        many => {
            let named: Vec<String> = many.iter().take(NAMED).map(ToString::to_string).collect();
            let more = if many.len() > NAMED { " …" } else { "" };
            format!("{} runs begin with '{prefix}': write more of {}{more}", many.len(), named.join(", "))
        }
    };
    Err(Failure::new(ErrorCode::UnknownRun, message).into())
}

/// A time in the past: how long ago it is, as `10s`, `5m` or `24h`, or when it was, as RFC 3339 has it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Since {
    Ago(Span),
    At(DateTime<Utc>),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let at = || DateTime::parse_from_rfc3339(text).map(|time| Self::At(time.to_utc()));
        text.parse().map(Self::Ago).or_else(|_| at()).map_err(|_| {
            "write how long ago, such as 10s, 5m or 24h, or a time such as 2026-01-31T12:00:00Z".to_owned()
        })
    }
}

impl Since {
    /// The time that is meant.
    pub(crate) fn time(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Ago(span) => now - span.get(),
            Self::At(time) => time,
        }
    }

    /// Where in a stream that time is; its beginning if no time is given.
    pub(crate) fn begin(since: Option<Self>, now: DateTime<Utc>) -> From {
        since.map_or(From::Begin, |since| From::Time(since.time(now)))
    }
}
