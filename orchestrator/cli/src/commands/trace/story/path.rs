//! The critical path: the chain of causes that leads from the beginning of a run to its end. Whoever wants the run to be
//! quicker must make something quicker that is on it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use mesh_schemas::{Attempt, RunId, Subject, TaskId, TaskVerb, Timer, WorkflowVerb};
use serde::Serialize;

use super::fact::Fact;
use super::model::{AttemptStory, Outcome, Story};
use super::tell::caller;
use crate::text;

/// What a part of the path was spent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// An agent was at it.
    Work,
    /// No agent had taken it.
    Wait,
    /// Either; nobody noted when an agent took it.
    WaitOrWork,
    /// Agents had it that fell silent or gave it back.
    Lost,
    /// The pause before another attempt.
    Retry,
    /// Until a timer fired.
    Timer,
    /// Until a signal came from outside.
    Signal,
    /// The run was paused.
    Paused,
    /// A run of its own was at it, of which no more is known.
    Run,
    /// The mesh stored what followed.
    Mesh,
}

impl Kind {
    /// In the words of people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Wait => "waiting for agents",
            Self::WaitOrWork => "waiting and work",
            Self::Lost => "lost by agents",
            Self::Retry => "pauses before retries",
            Self::Timer => "timers",
            Self::Signal => "waiting for a signal",
            Self::Paused => "paused",
            Self::Run => "other runs",
            Self::Mesh => "the mesh itself",
        }
    }
}

/// A part of the path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    pub(crate) run: RunId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<Attempt>,
    pub(crate) kind: Kind,
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
    pub(crate) ms: u64,
}

/// What led from the beginning of a run to its end, or to now: without gaps, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Path {
    pub(crate) total_ms: u64,
    /// Milliseconds by what they were spent with.
    pub(crate) by_kind: BTreeMap<Kind, u64>,
    pub(crate) steps: Vec<Step>,
}

impl Path {
    /// Follows the causes back from the end of a run. If it has not ended: from what has been open for longest, or else
    /// from the last event. What a signal or the deadline ended is followed back from what they cut short.
    pub(super) fn of(story: &Story, until: DateTime<Utc>) -> Self {
        let stories = story.all();
        let mut facts = BTreeMap::new();
        for (number, story) in stories.iter().enumerate() {
            for (place, fact) in story.facts.iter().enumerate() {
                facts.entry(fact.id.as_str()).or_insert((number, place));
            }
        }
        let mut attempts = BTreeMap::new();
        for (number, story) in stories.iter().enumerate() {
            for task in &story.tasks {
                attempts.extend(
                    task.attempts.iter().map(|attempt| ((number, &task.id, attempt.attempt), attempt)),
                );
            }
        }
        let mut walk = Walk { stories, facts, attempts, seen: BTreeSet::new(), steps: Vec::new() };
        if let Some(at) = walk.begin(until) {
            walk.back(at);
        }
        let mut steps = walk.steps;
        steps.reverse();
        // Counted from one beginning, parts of milliseconds add up.
        let since = |at| text::millis(story.started, at);
        steps.iter_mut().for_each(|step| step.ms = since(step.to).saturating_sub(since(step.from)));
        let mut by_kind = BTreeMap::new();
        for step in &steps {
            *by_kind.entry(step.kind).or_default() += step.ms;
        }
        Self { total_ms: by_kind.values().sum(), by_kind, steps }
    }

    /// Milliseconds by what they are of: the attempts of the tasks of runs.
    pub(super) fn shares(&self) -> BTreeMap<(RunId, TaskId, Attempt), u64> {
        let mut shares = BTreeMap::new();
        for step in &self.steps {
            if let (Some(task), Some(attempt)) = (&step.task, step.attempt) {
                *shares.entry((step.run, task.clone(), attempt)).or_default() += step.ms;
            }
        }
        shares
    }
}

/// Which story, and which of its facts.
type At = (usize, usize);

struct Walk<'a> {
    stories: Vec<&'a Story>,
    facts: BTreeMap<&'a str, At>,
    attempts: BTreeMap<(usize, &'a TaskId, Attempt), &'a AttemptStory>,
    seen: BTreeSet<At>,
    /// The last one first.
    steps: Vec<Step>,
}

impl<'a> Walk<'a> {
    fn fact(&self, (story, place): At) -> &'a Fact {
        &self.stories[story].facts[place]
    }

    /// Where to begin, with the step from there to a time if the run goes on.
    fn begin(&mut self, until: DateTime<Utc>) -> Option<At> {
        let story = self.stories[0];
        let last = (
            0,
            story.facts.iter().rposition(|fact| Some(fact.time) == story.ended || story.ended.is_none())?,
        );
        if story.ended.is_some() {
            let ends = |fact: &Fact| matches!(&fact.subject, Subject::Workflow { verb, .. } if *verb != WorkflowVerb::Started);
            return story.facts.iter().position(ends).map(|place| (0, place));
        }
        if let Some(pause) = story.pauses.last().filter(|pause| pause.until.is_none()) {
            self.step(0, None, Kind::Paused, pause.from, until);
            let paused =
                |fact: &Fact| fact.time == pause.from && matches!(fact.subject, Subject::Pause { .. });
            return story.facts.iter().rposition(paused).map(|place| (0, place)).or(Some(last));
        }
        let stories = (0..self.stories.len()).filter(|number| self.stories[*number].ended.is_none());
        let open = stories.filter_map(|number| Some((number, self.open_at(number, until)?)));
        let open = open.min_by_key(|(_, (_, attempt))| attempt.created);
        let Some((number, (task, attempt))) = open else {
            let of_retry = self.stories[0].tasks.iter().find_map(|task| {
                let last = task
                    .attempts
                    .last()
                    .filter(|last| last.retry_at.is_some() && last.backoff_ms.is_none())?;
                Some((&task.id, last))
            });
            let kind = if of_retry.is_some() { Kind::Retry } else { Kind::Mesh };
            let of = of_retry.map(|(task, last)| (task, last.attempt));
            self.step(0, of, kind, self.fact(last).time, until);
            return Some(last);
        };
        self.attempt_steps(number, task, attempt, attempt.created, until);
        self.beginning(number, task, attempt)
    }

    /// What was open at a time, for longest. What a run of its own is at, is told by the attempts of that.
    fn open_at(&self, number: usize, at: DateTime<Utc>) -> Option<(&'a TaskId, &'a AttemptStory)> {
        let attempts = self.stories[number].tasks.iter().flat_map(|task| {
            let attempts = task
                .attempts
                .iter()
                .filter(|attempt| attempt.story.as_ref().is_none_or(|story| story.ended.is_some()));
            attempts.map(|attempt| (&task.id, attempt))
        });
        let open = attempts
            .filter(|(_, attempt)| attempt.created < at && attempt.ended.is_none_or(|ended| ended >= at));
        open.min_by_key(|(_, attempt)| attempt.created)
    }

    /// The event that asked for an attempt, or else the last one before it began.
    fn beginning(&self, number: usize, task: &TaskId, attempt: &AttemptStory) -> Option<At> {
        let facts = &self.stories[number].facts;
        let created = |fact: &Fact| {
            matches!(&fact.subject, Subject::Task { verb: TaskVerb::Created, key }
                if key.task == *task && key.attempt == attempt.attempt)
        };
        let place = facts.iter().position(created).map(|place| (number, place));
        place.or_else(|| self.before(number, attempt.created))
    }

    /// The last event of a story up to a time, notes and what was seen left out.
    fn before(&self, number: usize, time: DateTime<Utc>) -> Option<At> {
        let facts = &self.stories[number].facts;
        let is_before = |place: &usize| {
            let fact = &facts[*place];
            fact.time <= time && !fact.is_note() && !self.seen.contains(&(number, *place))
        };
        (0..facts.len()).rev().find(is_before).map(|place| (number, place))
    }

    /// The event in front of another, notes left out.
    fn previous(&self, (number, place): At) -> Option<At> {
        let facts = &self.stories[number].facts;
        (0..place)
            .rev()
            .find(|place| !facts[*place].is_note() && !self.seen.contains(&(number, *place)))
            .map(|place| (number, place))
    }

    /// The event that led to another, if it is there and was not later.
    fn cause(&self, at: At) -> Option<At> {
        let fact = self.fact(at);
        let cause = *self.facts.get(fact.cause.as_deref()?)?;
        let is_earlier = cause.0 != at.0 || cause.1 < at.1;
        (is_earlier && !self.seen.contains(&cause) && self.fact(cause).time <= fact.time).then_some(cause)
    }

    fn back(&mut self, mut at: At) {
        while self.seen.insert(at) {
            let Some(next) = self.one_back(at) else { return };
            at = next;
        }
    }

    /// Adds what leads to an event, and goes there.
    fn one_back(&mut self, at: At) -> Option<At> {
        let (number, fact) = (at.0, self.fact(at));
        match &fact.subject {
            Subject::Workflow { verb: WorkflowVerb::Started, .. } => self.called_from(at),
            Subject::Task { verb: TaskVerb::Completed | TaskVerb::Failed, key } => {
                let of = (&key.task, key.attempt);
                let attempt = self.attempts.get(&(number, &key.task, key.attempt)).copied();
                let created =
                    self.created(fact).filter(|created| *created < at && !self.seen.contains(created));
                match (self.cause(at), created, attempt) {
                    // What gave it up is why it ended, and not the work.
                    (Some(cause), _, Some(attempt)) if attempt.outcome == Outcome::GivenUp => {
                        self.step(number, Some(of), Kind::Mesh, self.fact(cause).time, fact.time);
                        Some(cause)
                    }
                    (_, Some(created), Some(attempt)) => {
                        self.attempt_steps(number, of.0, attempt, self.fact(created).time, fact.time);
                        Some(created)
                    }
                    (Some(cause), ..) => {
                        self.step(number, Some(of), Kind::Mesh, self.fact(cause).time, fact.time);
                        Some(cause)
                    }
                    (None, _, attempt) => {
                        let from = attempt.map_or(fact.time, |attempt| attempt.created).min(fact.time);
                        let before = self.before(number, from).or_else(|| self.previous(at))?;
                        self.step(number, Some(of), Kind::Run, self.fact(before).time, fact.time);
                        Some(before)
                    }
                }
            }
            Subject::TimerFired { timer: Timer::Deadline | Timer::Finally, .. } => {
                self.cut_off(at, Kind::Timer)
            }
            Subject::Signalled { .. } if !self.was_paused(number, fact.time) => {
                self.cut_off(at, Kind::Signal)
            }
            subject => {
                let cause = self.cause(at);
                let next = cause.or_else(|| self.previous(at))?;
                let kind = match subject {
                    Subject::TimerFired { timer: Timer::Retry { .. }, .. } => Kind::Retry,
                    Subject::TimerFired { .. } => Kind::Timer,
                    Subject::Signalled { .. } => Kind::Paused,
                    _ => Kind::Mesh,
                };
                let of = match subject {
                    Subject::Task { key, .. } => Some((&key.task, key.attempt)),
                    Subject::TimerFired { timer: Timer::Retry { task, after }, .. } => Some((task, *after)),
                    _ => None,
                };
                self.step(number, of, kind, self.fact(next).time, fact.time);
                Some(next)
            }
        }
    }

    /// From what came from outside, or by time, to what it cut short: what had been open for longest.
    fn cut_off(&mut self, at: At, kind: Kind) -> Option<At> {
        let (number, to) = (at.0, self.fact(at).time);
        if let Some((task, attempt)) = self.open_at(number, to)
            && let Some(begin) =
                self.beginning(number, task, attempt).filter(|begin| !self.seen.contains(begin))
        {
            self.attempt_steps(number, task, attempt, self.fact(begin).time.min(to), to);
            return Some(begin);
        }
        let before = self.previous(at)?;
        self.step(number, None, kind, self.fact(before).time, to);
        Some(before)
    }

    /// From the beginning of a run to the run that asked for it, if that is told, too.
    fn called_from(&mut self, at: At) -> Option<At> {
        if at.0 == 0 {
            return None;
        }
        let fact = self.fact(at);
        let (run, task, attempt) = caller(fact.cause.as_deref()?)?;
        let number = self.stories.iter().position(|story| story.run == run)?;
        let from = self.attempts.get(&(number, &task, attempt)).map_or(fact.time, |attempt| attempt.created);
        let before = self.before(number, from.min(fact.time))?;
        self.step(number, Some((&task, attempt)), Kind::Mesh, self.fact(before).time, fact.time);
        Some(before)
    }

    /// The work that an outcome is of: its subject differs by the verb only.
    fn created(&self, outcome: &Fact) -> Option<At> {
        let mut tokens: Vec<&str> = outcome.id.split('.').collect();
        *tokens.get_mut(2)? = TaskVerb::Created.as_str();
        self.facts.get(tokens.join(".").as_str()).copied()
    }

    fn was_paused(&self, number: usize, at: DateTime<Utc>) -> bool {
        let pauses = &self.stories[number].pauses;
        pauses.iter().any(|pause| pause.from <= at && pause.until.is_none_or(|until| until >= at))
    }

    /// The parts of an attempt.
    fn attempt_steps(
        &mut self,
        number: usize,
        task: &TaskId,
        attempt: &AttemptStory,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) {
        let of = Some((task, attempt.attempt));
        if attempt.run.is_some() && attempt.story.is_none() {
            return self.step(number, of, Kind::Run, from, to);
        }
        let Some((first, last)) = attempt.assigned().zip(attempt.taken()) else {
            let kind = if attempt.was_never_taken { Kind::Wait } else { Kind::WaitOrWork };
            return self.step(number, of, kind, from, to);
        };
        let (first, last) = (first.clamp(from, to), last.clamp(from, to));
        // Given back, and not taken again.
        let kind = if attempt.outcome == Outcome::Waiting { Kind::Wait } else { Kind::Work };
        self.step(number, of, kind, last, to);
        if last > first {
            self.step(number, of, Kind::Lost, first, last);
        }
        self.step(number, of, Kind::Wait, from, first);
    }

    fn step(
        &mut self,
        number: usize,
        of: Option<(&TaskId, Attempt)>,
        kind: Kind,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) {
        let (task, attempt) = of.map(|(task, attempt)| (task.clone(), attempt)).unzip();
        let run = self.stories[number].run;
        self.steps.push(Step { run, task, attempt, kind, from, to, ms: 0 });
    }
}
