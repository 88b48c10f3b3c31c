//! How long things took, and what is waited for.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mesh_schemas::{AgentId, Attempt, Capability, RunId, TaskId};

use super::fact::Fact;
use super::model::{AttemptStory, Outcome, Story};
use super::path::Path;
use crate::commands::runs::RunStatus;
use crate::text::{self, took};

/// Open tasks that are named one by one.
const NAMED: usize = 8;

impl Story {
    /// Works out, for a moment, how long everything took, the critical path, and what is waited for. Call it when all is told,
    /// the runs within it included.
    pub(crate) fn settle(&mut self, now: DateTime<Utc>) {
        self.measure(now);
        let path = Path::of(self, self.until(now));
        self.share(&path.shares());
        self.critical_path = path;
    }

    /// Notes which attempts wait for a capability that nobody serves.
    pub(crate) fn note_unserved(&mut self, is_served: &impl Fn(&Capability) -> bool) {
        for attempt in self.tasks.iter_mut().flat_map(|task| &mut task.attempts) {
            attempt.is_unserved = attempt.capability.as_ref().is_some_and(|needed| !is_served(needed));
        }
    }

    /// Whether something of it waits for what nobody does.
    pub(crate) fn is_left_alone(&self) -> bool {
        let mut attempts = self.tasks.iter().flat_map(|task| &task.attempts);
        attempts.any(|attempt| attempt.is_open() && (attempt.is_unserved || attempt.is_silent))
    }

    /// Notes which attempts are with agents that are not alive any more.
    pub(crate) fn note_silence(&mut self, is_alive: &impl Fn(&AgentId) -> bool) {
        for attempt in self.tasks.iter_mut().flat_map(|task| &mut task.attempts) {
            attempt.is_silent = attempt.agent.as_ref().is_some_and(|agent| !is_alive(agent));
            if let Some(story) = &mut attempt.story {
                story.note_silence(is_alive);
            }
        }
    }

    fn measure(&mut self, now: DateTime<Utc>) {
        let until = self.until(now);
        self.duration_ms = text::millis(self.started, until);
        // Of an archived run it is not noted any more who took what.
        let are_notes_there = self.ended.is_none() || self.facts.iter().any(Fact::is_note);
        for attempt in self.tasks.iter_mut().flat_map(|task| &mut task.attempts) {
            if self.ended.is_some() && attempt.is_open() {
                attempt.outcome = Outcome::Dropped;
            }
            attempt.was_never_taken = match attempt.outcome {
                Outcome::Waiting => true,
                Outcome::GivenUp | Outcome::Dropped => are_notes_there && attempt.run.is_none(),
                _ => false,
            } && attempt.deliveries.is_empty();
            attempt.measure(until);
            if let Some(story) = &mut attempt.story {
                story.measure(now);
            }
        }
        self.waiting_for = self.waits(until);
    }

    /// Tells tasks and attempts what of the path is theirs, with what is done within them.
    fn share(&mut self, shares: &BTreeMap<(RunId, TaskId, Attempt), u64>) {
        let run = self.run;
        for task in &mut self.tasks {
            task.critical_ms = 0;
            for attempt in &mut task.attempts {
                let own = shares.get(&(run, task.id.clone(), attempt.attempt)).copied().unwrap_or_default();
                let within: u64 = attempt.story.as_mut().map_or(0, |story| {
                    story.share(shares);
                    story.tasks.iter().map(|task| task.critical_ms).sum()
                });
                attempt.critical_ms = own + within;
                task.critical_ms += attempt.critical_ms;
            }
        }
    }

    fn waits(&self, now: DateTime<Utc>) -> Vec<String> {
        if self.ended.is_some() {
            return Vec::new();
        }
        let mut waits = Vec::new();
        if let Some(pause) = self.pauses.last().filter(|_| self.status == RunStatus::Paused) {
            let why = match (&pause.reason, &pause.task) {
                (Some(reason), _) => format!(": {}", text::one_line(reason)),
                (None, Some(task)) => format!(" before or at task '{task}'"),
                (None, None) => String::new(),
            };
            let since = took(text::millis(pause.from, now));
            waits.push(format!("paused for {since}{why}: `mesh runs resume {}` has it go on", self.run));
        }
        let mut open = Vec::new();
        for task in &self.tasks {
            let attempts = task.attempts.iter();
            open.extend(
                attempts.filter_map(|attempt| Some((attempt.created, &task.id, attempt.waits(now)?))),
            );
        }
        open.sort_by_key(|(created, ..)| *created);
        let more = open.len().saturating_sub(NAMED);
        waits.extend(open.into_iter().take(NAMED).map(|(_, task, wait)| format!("task '{task}': {wait}")));
        if more > 0 {
            waits.push(format!("{more} more open tasks"));
        }
        if waits.is_empty() {
            let since = took(text::millis(self.last_event, now));
            let is_defined = self.tasks.iter().any(|task| task.status.is_some());
            waits.push(if is_defined {
                format!("an orchestrator: nothing is open, and nothing happened for {since}; see `mesh doctor`")
            } else {
                // Pauses before retries and runs that it started are told by the definition only.
                format!(
                    "no agent, and nothing happened for {since}: `mesh trace {}` tells whether it waits for a timer or another run",
                    self.run
                )
            });
        }
        waits
    }
}

impl AttemptStory {
    /// What it waits for, if it waits for anything.
    pub(crate) fn waits(&self, now: DateTime<Utc>) -> Option<String> {
        if let (Some(at), None) = (self.retry_at, self.backoff_ms) {
            // The pause may be over, and the timer on its way.
            let left = took(text::millis(now, at));
            return Some(format!(
                "waiting for the timer until {} ({left}) to try again",
                text::to_come(now, at)
            ));
        }
        let since = |from| took(text::millis(from, now));
        match (self.outcome, self.run, self.taken()) {
            (Outcome::Running | Outcome::Waiting, Some(run), _) => {
                Some(format!("waiting {} for run {run}", since(self.created)))
            }
            (Outcome::Running, None, taken) => {
                let agent = self.agent.as_ref().map_or("an agent", AgentId::as_str);
                let delivery = self.deliveries.last().map_or(1, |delivery| delivery.delivery);
                let again = if delivery > 1 { format!(" (delivery {delivery})") } else { String::new() };
                let silent = if self.is_silent {
                    ", which is not alive any more: another takes it over half a minute after the last sign of life, if there is one"
                } else {
                    ""
                };
                Some(format!(
                    "with agent {agent} for {}{again}{silent}",
                    since(taken.unwrap_or(self.created))
                ))
            }
            (Outcome::Waiting, None, _) => {
                let capability = self.capability.as_ref().map_or("-", Capability::as_str);
                let from =
                    self.deliveries.last().and_then(|delivery| delivery.released).unwrap_or(self.created);
                let nobody =
                    if self.is_unserved { ", which no agent that is alive has: start one" } else { "" };
                Some(format!("waiting {} for an agent with capability '{capability}'{nobody}", since(from)))
            }
            _ => None,
        }
    }
}
