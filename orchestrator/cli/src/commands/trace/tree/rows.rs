//! The lines of the tree, before they are drawn.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use mesh_schemas::{AgentId, TaskId};

use super::bar::{EITHER, LOST, MOMENT, PAUSE, Stretch, WAIT, WORK};
use super::short;
use crate::commands::trace::story::{AttemptStory, Outcome, Story, TaskStory};
use crate::terminal::Colour;
use crate::text::{self, took};

/// A line of the tree.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// How deep it stands.
    pub(super) depth: usize,
    pub(super) name: String,
    pub(super) is_critical: bool,
    pub(super) wait_ms: Option<u64>,
    pub(super) work_ms: Option<u64>,
    pub(super) took_ms: Option<u64>,
    pub(super) stretches: Vec<Stretch>,
    pub(super) note: String,
    pub(super) colour: Colour,
}

/// All lines, and how many were left out.
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    pub(super) left_out: usize,
    now: DateTime<Utc>,
    limit: usize,
}

/// Where a task stands in the tree: the ids that it is made of, numbers by their value.
type Place = Vec<Result<u64, String>>;

/// A task of the tree, or what holds several together: a loop, or a group.
#[derive(Default)]
struct Node<'a> {
    task: Option<&'a TaskStory>,
    name: String,
    /// From when to when something of it was under way.
    first: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
    children: BTreeMap<Result<u64, String>, Node<'a>>,
}

impl Rows {
    pub(super) fn of(story: &Story, now: DateTime<Utc>, limit: usize) -> Self {
        let mut rows = Self { rows: Vec::new(), left_out: 0, now, limit };
        rows.story(story, 0);
        rows
    }

    fn story(&mut self, story: &Story, depth: usize) {
        let mut shown: Vec<&TaskStory> = story.tasks.iter().collect();
        let room = if self.limit == 0 { usize::MAX } else { self.limit.saturating_sub(self.rows.len()) };
        if shown.len() > room {
            self.left_out += shown.len() - room;
            shown.sort_by_cached_key(|task| rank(task));
            shown.truncate(room);
        }
        let mut root = Node::default();
        for task in with_holders(&story.tasks, shown) {
            root.add(task, story.until(self.now));
        }
        self.nodes(&root, story, depth);
        for timer in &story.timers {
            let stretches = vec![Stretch { from: timer.set, to: timer.fired, mark: PAUSE }];
            let took_ms = Some(text::millis(timer.set, timer.fired));
            self.rows.push(Row {
                took_ms,
                ..Row::of_run(depth, format!("timer {}", timer.timer), stretches, "fired")
            });
        }
        for pause in &story.pauses {
            let to = pause.until.unwrap_or_else(|| story.until(self.now));
            let why = match (&pause.reason, &pause.task) {
                (Some(reason), _) => text::one_line(reason),
                (None, Some(task)) => format!("before or at task '{task}'"),
                (None, None) => String::new(),
            };
            let why = if pause.until.is_none() { format!("paused now; {why}") } else { why };
            let stretches = vec![Stretch { from: pause.from, to, mark: PAUSE }];
            let took_ms = Some(text::millis(pause.from, to));
            let row = Row::of_run(depth, "paused".to_owned(), stretches, why.trim_end_matches("; "));
            self.rows.push(Row { took_ms, colour: Colour::Yellow, ..row });
        }
        for signal in &story.signals {
            let stretches = vec![Stretch { from: signal.at, to: signal.at, mark: MOMENT }];
            let reason = signal.reason.as_deref().map(text::one_line).unwrap_or_default();
            self.rows.push(Row::of_run(depth, format!("signal {}", signal.signal), stretches, &reason));
        }
    }

    fn nodes(&mut self, parent: &Node<'_>, story: &Story, depth: usize) {
        let mut nodes: Vec<_> = parent.children.iter().collect();
        // Items stand in their order, all else as it began; what has not begun comes last.
        nodes.sort_by_key(|(key, node)| {
            (node.first.is_none(), key.is_err().then_some(node.first), (*key).clone())
        });
        for (_, node) in nodes {
            let place = self.rows.len();
            match node.task {
                Some(task) => self.task(task, node.name.clone(), story, depth),
                None => self.rows.push(Row::plain(depth, node.name.clone())),
            }
            // What is made of others takes as long as those.
            if let (Some(first), Some(last), Some(row)) = (node.first, node.last, self.rows.get_mut(place)) {
                row.took_ms.get_or_insert_with(|| text::millis(first, last));
            }
            self.nodes(node, story, depth + 1);
        }
    }

    fn task(&mut self, task: &TaskStory, name: String, story: &Story, depth: usize) {
        match task.attempts.as_slice() {
            [] => {
                let status = task.status.unwrap_or("-");
                let note = match status {
                    "pending" if !task.needs.is_empty() => {
                        let needs: Vec<&str> = task.needs.iter().map(TaskId::as_str).collect();
                        format!("pending, needs {}", needs.join(", "))
                    }
                    status => status.to_owned(),
                };
                self.rows.push(Row { note, colour: Colour::Dim, ..Row::plain(depth, name) });
            }
            [only] => self.attempt(task, only, name, story, depth),
            several => {
                let mut stretches = Vec::new();
                for attempt in several {
                    stretches.extend(stretches_of(attempt, story.until(self.now)));
                }
                let last = several.last().map(|last| (last.ended, outcome(last)));
                let ended =
                    last.as_ref().and_then(|(ended, _)| *ended).unwrap_or_else(|| story.until(self.now));
                let how = last.map(|(_, (word, _))| word).unwrap_or_default();
                self.rows.push(Row {
                    is_critical: task.critical_ms > 0,
                    took_ms: several.first().map(|first| text::millis(first.created, ended)),
                    stretches,
                    note: format!("{how} after {} attempts", several.len()),
                    ..Row::plain(depth, name)
                });
                for attempt in several {
                    self.attempt(task, attempt, format!("#{}", attempt.attempt), story, depth + 1);
                }
            }
        }
    }

    fn attempt(
        &mut self,
        task: &TaskStory,
        attempt: &AttemptStory,
        name: String,
        story: &Story,
        depth: usize,
    ) {
        let (_, colour) = outcome(attempt);
        self.rows.push(Row {
            depth,
            name,
            is_critical: attempt.critical_ms > 0,
            wait_ms: attempt.wait_ms,
            work_ms: attempt.work_ms,
            took_ms: Some(attempt.took_ms),
            stretches: stretches_of(attempt, story.until(self.now)),
            note: note(task, attempt, story.until(self.now)),
            colour,
        });
        if let Some(child) = &attempt.story {
            let how = child.status.as_str();
            self.rows.push(Row {
                is_critical: attempt.critical_ms > 0,
                took_ms: Some(child.duration_ms),
                note: format!("{how}, {}", child.target),
                ..Row::plain(depth + 1, format!("run {}", short(&child.run.to_string())))
            });
            self.story(child, depth + 2);
        }
    }
}

impl Row {
    fn plain(depth: usize, name: String) -> Self {
        Self {
            depth,
            name,
            is_critical: false,
            wait_ms: None,
            work_ms: None,
            took_ms: None,
            stretches: Vec::new(),
            note: String::new(),
            colour: Colour::Plain,
        }
    }

    fn of_run(depth: usize, name: String, stretches: Vec<Stretch>, note: &str) -> Self {
        Self { stretches, note: note.to_owned(), colour: Colour::Cyan, ..Self::plain(depth, name) }
    }
}

impl<'a> Node<'a> {
    fn add(&mut self, task: &'a TaskStory, until: DateTime<Utc>) {
        let place: Place = task.id.parts().map(|part| part.parse().map_err(|_| part.to_owned())).collect();
        let first = task.attempts.first().map(|attempt| attempt.created);
        let last = task.attempts.iter().map(|attempt| attempt.ended.unwrap_or(until)).max();
        let mut node = self;
        for part in place {
            let name = match &part {
                Ok(number) => number.to_string(),
                Err(id) => id.clone(),
            };
            node = node.children.entry(part).or_default();
            node.name = name;
            node.last = node.last.max(last);
            node.first = match (node.first, first) {
                (Some(known), Some(first)) => Some(known.min(first)),
                (known, first) => known.or(first),
            };
        }
        node.task = Some(task);
    }
}

/// Tasks with the loops and groups that they are in.
fn with_holders<'a>(all: &'a [TaskStory], mut shown: Vec<&'a TaskStory>) -> Vec<&'a TaskStory> {
    if shown.len() == all.len() {
        return shown;
    }
    let known: BTreeSet<&str> = shown.iter().map(|task| task.id.as_str()).collect();
    let mut holders = BTreeSet::new();
    for id in &known {
        holders.extend(
            id.match_indices(':').map(|(end, _)| &id[..end]).filter(|holder| !known.contains(holder)),
        );
    }
    shown.extend(all.iter().filter(|task| holders.contains(task.id.as_str())));
    shown
}

/// Orders tasks by how much people want to know of them, where there are too many to tell of all.
fn rank(task: &TaskStory) -> (u8, Reverse<u64>) {
    let is = |outcome: fn(&AttemptStory) -> bool| task.attempts.iter().any(outcome);
    let rank = match () {
        () if is(AttemptStory::is_open) => 0,
        () if is(|attempt| matches!(attempt.outcome, Outcome::Failed | Outcome::GivenUp)) => 1,
        () if task.critical_ms > 0 => 2,
        () if !task.attempts.is_empty() => 3,
        () => 4,
    };
    (rank, Reverse(task.attempts.iter().map(|attempt| attempt.took_ms).max().unwrap_or_default()))
}

fn stretches_of(attempt: &AttemptStory, until: DateTime<Utc>) -> Vec<Stretch> {
    let end = attempt.ended.unwrap_or(until);
    let mut stretches = match attempt.assigned() {
        Some(assigned) => {
            let work = if attempt.outcome == Outcome::Waiting { WAIT } else { WORK };
            let taken = attempt.taken().unwrap_or(assigned);
            let lost = (taken > assigned).then_some(Stretch { from: assigned, to: taken, mark: LOST });
            let wait = Stretch { from: attempt.created, to: assigned, mark: WAIT };
            [Some(wait), lost, Some(Stretch { from: taken, to: end, mark: work })]
                .into_iter()
                .flatten()
                .collect()
        }
        None => {
            let mark = match attempt.outcome {
                _ if attempt.was_never_taken => WAIT,
                _ if attempt.run.is_some() => WORK,
                _ => EITHER,
            };
            vec![Stretch { from: attempt.created, to: end, mark }]
        }
    };
    let next =
        attempt.backoff_ms.and_then(|ms| Some(end + chrono::TimeDelta::milliseconds(ms.try_into().ok()?)));
    stretches.extend(next.map(|next| Stretch { from: end, to: next, mark: PAUSE }));
    stretches
}

fn outcome(attempt: &AttemptStory) -> (&'static str, Colour) {
    match attempt.outcome {
        Outcome::Running => ("running", Colour::Cyan),
        Outcome::Waiting => ("waiting", Colour::Yellow),
        Outcome::Completed => ("completed", Colour::Green),
        Outcome::Failed => ("failed", Colour::Red),
        Outcome::GivenUp => ("given up", Colour::Red),
        Outcome::Dropped => ("dropped: its run ended", Colour::Dim),
    }
}

/// How an attempt stands, by whom, and why.
fn note(task: &TaskStory, attempt: &AttemptStory, until: DateTime<Utc>) -> String {
    let (word, _) = outcome(attempt);
    let mut note = match attempt.waits(until).filter(|_| attempt.is_open()) {
        Some(wait) => wait,
        None => word.to_owned(),
    };
    if let (Some(agent), false) = (&attempt.agent, attempt.is_open()) {
        let by = if matches!(attempt.outcome, Outcome::GivenUp | Outcome::Dropped) {
            "; it was with"
        } else {
            " by"
        };
        note.push_str(&format!("{by} {}", AgentId::as_str(agent)));
    }
    let deliveries = attempt.deliveries.last().map_or(0, |last| last.delivery);
    if deliveries > 1 && !attempt.is_open() {
        note.push_str(&format!(", delivery {deliveries}"));
    }
    if attempt.late > 0 {
        note.push_str(&format!(", {} later outcomes do not count", attempt.late));
    }
    if let Some(error) = &attempt.error {
        note.push_str(&format!(": {}", text::error(&error.code, &error.message)));
    }
    match (attempt.backoff_ms, attempt.waits(until)) {
        (Some(backoff), _) => note.push_str(&format!("; again after {}", took(backoff))),
        (None, Some(wait)) if !attempt.is_open() => note.push_str(&format!("; {wait}")),
        _ => {}
    }
    // The output of a task may fail although its attempt went well.
    if attempt.outcome == Outcome::Completed && task.status == Some("failed") {
        note.push_str("; its output could not be made of what was returned");
    }
    note
}
