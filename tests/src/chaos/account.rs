//! What became of a campaign.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use anyhow::Result;
use mesh_schemas::{RunId, TaskVerb};

use super::Campaign;
use super::executions::Executions;
use super::faults::{Deed, Fault, Victim};
use super::load::{End, Runs};
use crate::audit::Audit;

/// The figures of a campaign, and what must not be.
#[derive(Debug)]
pub struct Account {
    seed: u64,
    took: Duration,
    runs: usize,
    tasks: usize,
    faults: BTreeMap<(&'static str, Deed), usize>,
    executions: usize,
    again: usize,
    /// Time from request to end, in milliseconds: median, 99th of a hundred, longest.
    latencies: [u64; 3],
    /// Longest time in which no run ended, in milliseconds.
    standstill: u64,
    lost: usize,
    stuck: usize,
    twice_accepted: usize,
    unexplained: usize,
    /// Runs that were archived by the end, and of those the ones that were gone from the log.
    archived: (usize, usize),
    /// Everything that must not be, in words; empty if all is well.
    pub violations: Vec<String>,
}

impl Account {
    pub(super) fn new(
        campaign: &Campaign,
        took: Duration,
        runs: &Runs,
        faults: &[Fault],
        audit: Result<Audit>,
        executions: Executions,
    ) -> Self {
        let mut violations = Vec::new();
        let is_audited = audit.is_ok();
        let audit = audit.unwrap_or_else(|error| {
            violations.push(format!("{error:#}"));
            Audit::default()
        });
        let is_lost = |run: &&RunId| is_audited && !audit.runs.contains_key(run);
        let lost: Vec<&RunId> = runs.asked.keys().filter(is_lost).collect();
        let stuck: Vec<&RunId> = runs.asked.keys().filter(|run| !runs.ends.contains_key(run)).collect();
        violations.extend(lost.iter().map(|run| format!("run {run} was asked for and never began")));
        violations.extend(stuck.iter().map(|run| format!("run {run} did not end")));
        for (run, (end, _)) in &runs.ends {
            match (runs.asked.get(run), end) {
                (Some(asked), End::Completed(output)) if *output == asked.output() => {}
                (asked, end) => {
                    violations.push(format!("run {run}, asked for as {asked:?}, ended as {end:?}"))
                }
            }
        }
        let twice = accepted_twice(&audit);
        violations.extend(twice.iter().map(|task| format!("two outcomes of {task} were accepted")));
        violations.extend(
            executions.unexplained.iter().map(|pair| format!("executed twice for no reason: {pair}")),
        );
        let attempts: usize = runs.asked.values().map(super::load::Asked::attempts).sum();
        if is_audited && audit.created.len() != attempts {
            violations.push(format!("{} attempts were created, and {attempts} needed", audit.created.len()));
        }
        let mut counted = BTreeMap::new();
        for fault in faults {
            *counted.entry((name(fault.victim), fault.deed)).or_default() += 1;
        }
        Self {
            seed: campaign.seed,
            took,
            runs: runs.asked.len(),
            tasks: audit.created.len(),
            faults: counted,
            executions: executions.count,
            again: executions.again,
            latencies: latencies(runs),
            standstill: standstill(runs),
            lost: lost.len(),
            stuck: stuck.len(),
            twice_accepted: twice.len(),
            unexplained: executions.unexplained.len(),
            archived: audit.archived,
            violations,
        }
    }

    /// How many runs were archived meanwhile.
    #[must_use]
    pub fn archived(&self) -> usize {
        self.archived.0
    }

    /// How many processes were killed with SIGKILL.
    #[must_use]
    pub fn kills(&self) -> usize {
        self.faults.iter().filter(|((_, deed), _)| *deed == Deed::Kill).map(|(_, count)| count).sum()
    }
}

/// Tasks of which more than one attempt has a success as its first outcome.
fn accepted_twice(audit: &Audit) -> Vec<String> {
    let mut accepted = BTreeMap::<_, usize>::new();
    for (key, outcomes) in &audit.outcomes {
        if outcomes.first() == Some(&TaskVerb::Completed) {
            *accepted.entry((key.run, key.task.clone())).or_default() += 1;
        }
    }
    accepted.retain(|_, count| *count > 1);
    accepted.into_keys().map(|(run, task)| format!("task {task} of run {run}")).collect()
}

fn latencies(runs: &Runs) -> [u64; 3] {
    let took = |(run, (_, end)): (&RunId, &(End, u64))| Some(end.saturating_sub(runs.asked.get(run)?.at));
    let mut all: Vec<u64> = runs.ends.iter().filter_map(took).collect();
    all.sort_unstable();
    let at = |share: usize| all.get((all.len() * share / 100).min(all.len().saturating_sub(1))).copied();
    [50, 99, 100].map(|share| at(share).unwrap_or_default())
}

fn standstill(runs: &Runs) -> u64 {
    let mut ends: Vec<u64> = runs.ends.values().map(|(_, end)| *end).collect();
    ends.sort_unstable();
    ends.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

fn name(victim: Victim) -> &'static str {
    match victim {
        Victim::Server => "server",
        Victim::Orchestrator => "orchestrators",
        Victim::Agent(_) => "agents",
    }
}

impl fmt::Display for Account {
    /// A table in Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, high, longest] = self.latencies.map(|millis| millis as f64 / 1_000.0);
        writeln!(f, "| Seed {} | {:.0} s |", self.seed, self.took.as_secs_f64())?;
        writeln!(f, "|---|---|")?;
        writeln!(f, "| Runs, attempts of tasks | {}, {} |", self.runs, self.tasks)?;
        let victims: BTreeSet<&str> = self.faults.keys().map(|(victim, _)| *victim).collect();
        for victim in victims {
            let of = |deed| self.faults.get(&(victim, deed)).filter(|count| **count > 0);
            let told = Deed::ALL.into_iter().filter_map(|deed| Some(format!("{} {}", of(deed)?, word(deed))));
            writeln!(f, "| Faults of {victim} | {} |", told.collect::<Vec<_>>().join(", "))?;
        }
        writeln!(
            f,
            "| Run, from request to end | median {median:.2} s, 99 % within {high:.1} s, longest {longest:.1} s |"
        )?;
        let standstill = self.standstill as f64 / 1_000.0;
        writeln!(f, "| Longest time in which no run ended | {standstill:.1} s |")?;
        writeln!(
            f,
            "| Executions | {}, of which {} again, {} of them unexplained |",
            self.executions, self.again, self.unexplained
        )?;
        writeln!(f, "| Archived, forgotten meanwhile | {}, {} |", self.archived.0, self.archived.1)?;
        writeln!(
            f,
            "| Lost, stuck, accepted twice | {}, {}, {} |",
            self.lost, self.stuck, self.twice_accepted
        )
    }
}

fn word(deed: Deed) -> &'static str {
    match deed {
        Deed::Kill => "killed",
        Deed::Restart => "restarted",
        Deed::Freeze => "frozen",
        Deed::Isolate => "isolated",
    }
}
