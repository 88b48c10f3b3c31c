//! Which letters are meant.

use std::collections::BTreeSet;

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args};
use futures::TryStreamExt as _;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, From, Reason};
use mesh_schemas::{Capability, RunId, Subject, WorkflowName};

use super::letter::Letter;
use crate::commands::events::OfWorkflow;
use crate::follow::present;
use crate::select::{RunSelector, Since, begins, one_of};

/// The streams that messages are found in that nobody can deal with.
const READ: [Stream; 3] = [Stream::Inbox, Stream::Events, Stream::Tasks];

/// What is asked of a letter.
#[derive(Args)]
pub(super) struct Filters {
    /// Only messages that were found in this stream
    #[arg(long, value_parser = PossibleValuesParser::new(READ.map(Stream::short_name)))]
    stream: Option<String>,
    /// Only messages that were put aside for this reason
    #[arg(long, value_parser = PossibleValuesParser::new(Reason::ALL.map(Reason::as_str)))]
    reason: Option<String>,
    /// Only messages of runs of this workflow, and requests for it
    #[arg(long, value_name = "NAME")]
    workflow: Option<WorkflowName>,
    /// Only work of this capability, outcomes of it, and requests for it
    #[arg(long, value_name = "NAME")]
    capability: Option<Capability>,
    /// Only messages of this run: its id, the beginning of it, or @last
    #[arg(long, value_name = "RUN")]
    run: Option<RunSelector>,
    /// Only messages that were put aside since then: 10s, 5m or 24h ago, or since a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Only messages that were put aside before then, which is told in the same ways
    #[arg(long, value_name = "TIME")]
    before: Option<Since>,
}

impl Filters {
    /// Gives each letter that is there and that is asked for, oldest first.
    pub(super) async fn each(self, bus: &dyn Bus, mut give: impl FnMut(Letter)) -> anyhow::Result<()> {
        let namespace = bus.namespace();
        let run = match &self.run {
            Some(run) => Some(meant(run, bus).await?),
            None => None,
        };
        let mut workflow = match self.workflow {
            Some(name) => Some(OfWorkflow::learn(bus, name).await?),
            None => None,
        };
        let before = self.before.map(|before| before.time(bus.now()));
        let any = |token: &Option<String>| token.clone().unwrap_or_else(|| "*".to_owned());
        let filter = format!("{namespace}.dead.{}.{}", any(&self.stream), any(&self.reason));
        let from = Since::begin(self.since, bus.now());
        let mut letters = present(bus, Stream::Dead, vec![filter], from).await?;
        while let Some(stored) = letters.try_next().await? {
            let letter = Letter::read(namespace, &stored);
            let subject = letter.parsed(namespace);
            let is_meant = before.is_none_or(|before| letter.time < before)
                && run.is_none_or(|run| letter.run == Some(run))
                && self.capability.as_ref().is_none_or(|of| capability(subject.as_ref()) == Some(of))
                && workflow.as_mut().is_none_or(|workflow| workflow.has(subject.as_ref()));
            if is_meant {
                give(letter);
            }
        }
        Ok(())
    }
}

/// The run that is meant. One of which nothing is left but letters, or never was, can be named by its beginning, too.
async fn meant(run: &RunSelector, bus: &dyn Bus) -> anyhow::Result<RunId> {
    let RunSelector::Prefix(prefix) = run else { return run.resolve(bus).await };
    let all = vec![format!("{}.dead.*.*", bus.namespace())];
    let mut letters = present(bus, Stream::Dead, all, From::Begin).await?;
    let mut found = BTreeSet::new();
    while let Some(stored) = letters.try_next().await? {
        found.extend(Letter::read(bus.namespace(), &stored).run.filter(|run| begins(run, prefix)));
    }
    if found.is_empty() {
        return run.resolve(bus).await;
    }
    one_of(prefix, found.into_iter().collect())
}

fn capability(subject: Option<&Subject>) -> Option<&Capability> {
    match subject? {
        Subject::TaskRequested { capability } => Some(capability),
        Subject::Task { key, .. } => Some(&key.capability),
        _ => None,
    }
}

/// The letters that a command is to deal with.
#[derive(Args)]
#[command(group = ArgGroup::new("letters").required(true).multiple(true)
    .args(["numbers", "all", "stream", "reason", "workflow", "capability", "run", "since", "before"]))]
pub(super) struct Which {
    /// Letters by their numbers, as `mesh dead list` shows them
    #[arg(value_name = "N", conflicts_with_all = ["all", "Filters"])]
    numbers: Vec<u64>,
    /// All of them
    #[arg(long, conflicts_with = "Filters")]
    all: bool,
    #[command(flatten)]
    filters: Filters,
}

impl Which {
    /// The numbers of the letters, each once.
    pub(super) async fn numbers(self, bus: &dyn Bus) -> anyhow::Result<Vec<u64>> {
        let mut numbers = self.numbers;
        if numbers.is_empty() {
            self.filters.each(bus, |letter| numbers.push(letter.sequence)).await?;
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }
}
