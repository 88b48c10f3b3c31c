use mesh_schemas::difference::Exactness;
use mesh_schemas::payload::{TaskCompleted, TaskCreated, TaskFailed, TaskProgress};
use serde::Serialize;

use super::completed::{CompletedTask, compare};
use super::event::Event;
use super::failed::FailedTask;
use super::pattern::known_task;
use super::story::Story;

/// A task of a run. Each assertion panics if it does not hold, and shows what happened.
#[derive(Debug, Clone)]
pub struct RunTask {
    id: String,
    story: Story,
    tasks: Option<Vec<String>>,
    /// Whether the run completed.
    is_complete: bool,
}

/// So many, of what was asked for: this only completes the sentence.
#[derive(Debug)]
pub struct Times<'a>(&'a RunTask);

impl<'a> Times<'a> {
    /// Goes on about the same task.
    pub fn times(self) -> &'a RunTask {
        self.0
    }
}

impl RunTask {
    #[track_caller]
    pub(super) fn new(id: &str, story: &Story, tasks: Option<Vec<String>>, is_complete: bool) -> Self {
        if let Err(wrong) = known_task(id, tasks.as_deref()) {
            story.fail(wrong);
        }
        let who = format!("task {id} of {}", story.who);
        Self { id: id.to_owned(), story: story.about(who), tasks, is_complete }
    }

    /// It was given to agents in so many attempts: 1, unless it was tried again.
    #[track_caller]
    pub fn was_created(&self, times: usize) -> Times<'_> {
        self.count("task.created", times, ["attempt", "attempts"])
    }

    /// Agents took it so often, over all attempts: more often than it was created if some of them died with it.
    #[track_caller]
    pub fn was_taken(&self, times: usize) -> Times<'_> {
        self.count("task.assigned", times, ["delivery", "deliveries"])
    }

    /// No agent was ever asked to do it.
    #[track_caller]
    pub fn did_not_run(&self) -> &Self {
        if self.position("task.created").is_some() {
            self.story.fail("expected it not to run, but it did");
        }
        self
    }

    /// It was skipped: its run completed without it.
    #[track_caller]
    pub fn was_skipped(&self) -> &Self {
        if !self.is_complete {
            self.story
                .fail("only a run that completed tells what was skipped: for others, say did_not_run()");
        }
        if self.position("task.created").is_some() || self.position("task.failed").is_some() {
            self.story.fail("expected it to be skipped, but it was not");
        }
        self
    }

    /// Its last attempt went well.
    #[track_caller]
    pub fn completed(&self) -> CompletedTask {
        match self.outcome() {
            Some(event) if event.event_type() == "task.completed" => match event.data_as::<TaskCompleted>() {
                Some(data) => CompletedTask { story: self.story.clone(), data },
                None => self.story.fail(format!("its outcome cannot be read: {}", event.data())),
            },
            Some(event) => {
                self.story.fail(format!("expected it to complete, but its last attempt failed:\n  {event}"))
            }
            None => self.story.fail("expected it to complete, but its last attempt has no outcome"),
        }
    }

    /// Its last attempt failed.
    #[track_caller]
    pub fn failed(&self) -> FailedTask {
        match self.outcome() {
            Some(event) if event.event_type() == "task.failed" => match event.data_as::<TaskFailed>() {
                Some(data) => FailedTask { story: self.story.clone(), error: data.error },
                None => self.story.fail(format!("its outcome cannot be read: {}", event.data())),
            },
            Some(event) => {
                self.story.fail(format!("expected it to fail, but its last attempt went well:\n  {event}"))
            }
            None => self.story.fail("expected it to fail, but its last attempt has no outcome"),
        }
    }

    /// The input of its last attempt is exactly this. JSON does not tell 1 from 1.0.
    #[track_caller]
    pub fn had_input(&self, expected: impl Serialize) -> &Self {
        compare(&self.story, "input", &expected, &self.last_input(), Exactness::Equal);
        self
    }

    /// The input of its last attempt is this where something is said here; objects may have more fields.
    #[track_caller]
    pub fn had_input_including(&self, expected: impl Serialize) -> &Self {
        compare(&self.story, "input", &expected, &self.last_input(), Exactness::Contains);
        self
    }

    /// It was created when another task had its last outcome.
    #[track_caller]
    pub fn ran_after(&self, other: &str) -> &Self {
        let other = self.other(other);
        if self.begin() < other.end() {
            self.story
                .fail(format!("expected it to run after '{}', but it began before that one ended", other.id));
        }
        self
    }

    /// It had its last outcome when another task was created.
    #[track_caller]
    pub fn ran_before(&self, other: &str) -> &Self {
        self.other(other).ran_after(&self.id);
        self
    }

    /// It and another task were open at the same time.
    #[track_caller]
    pub fn ran_beside(&self, other: &str) -> &Self {
        let other = self.other(other);
        if self.begin() > other.end() || other.begin() > self.end() {
            self.story.fail(format!(
                "expected it to run beside '{}', but one ended before the other began",
                other.id
            ));
        }
        self
    }

    /// What its agents told of their progress, from 0 to 1, is exactly this.
    #[track_caller]
    pub fn reported(&self, expected: &[f64]) -> &Self {
        let told = progress(&self.story, &self.id);
        let told: Vec<f64> = told.into_iter().map(|told| told.progress).collect();
        if told != expected {
            self.story.fail(format!("expected the progress {expected:?}, but it told {told:?}"));
        }
        self
    }

    #[track_caller]
    fn other(&self, id: &str) -> Self {
        Self::new(id, &self.story, self.tasks.clone(), self.is_complete)
    }

    #[track_caller]
    fn count(&self, event_type: &str, expected: usize, [one, many]: [&str; 2]) -> Times<'_> {
        let found = self.events(event_type).count();
        if found != expected {
            let what = if expected == 1 { one } else { many };
            let there = if found == 1 { "was" } else { "were" };
            self.story.fail(format!("expected {expected} {what}, but there {there} {found}"));
        }
        Times(self)
    }

    fn events(&self, event_type: &str) -> impl Iterator<Item = &Event> {
        self.story
            .events
            .iter()
            .filter(move |event| event.task() == Some(self.id.as_str()) && event.event_type() == event_type)
    }

    /// The outcome of the last attempt: the first there is, which is the one that counts.
    fn outcome(&self) -> Option<&Event> {
        self.story.events.get(self.outcome_position()?)
    }

    fn outcome_position(&self) -> Option<usize> {
        let attempts = self.story.events.iter().filter(|event| event.task() == Some(&self.id));
        let last = attempts.filter_map(Event::attempt).max();
        self.story
            .events
            .iter()
            .position(|event| event.task() == Some(&self.id) && event.attempt() == last && is_outcome(event))
    }

    #[track_caller]
    fn last_input(&self) -> serde_json::Value {
        match self.events("task.created").last().and_then(Event::data_as::<TaskCreated>) {
            Some(created) => created.input,
            None => self.story.fail("expected it to run, but it did not"),
        }
    }

    fn position(&self, event_type: &str) -> Option<usize> {
        let is_it =
            |event: &Event| event.task() == Some(self.id.as_str()) && event.event_type() == event_type;
        self.story.events.iter().position(is_it)
    }

    #[track_caller]
    fn begin(&self) -> usize {
        match self.position("task.created") {
            Some(begin) => begin,
            None => self.story.fail(format!("expected task '{}' to run, but it did not", self.id)),
        }
    }

    #[track_caller]
    fn end(&self) -> usize {
        match self.outcome_position() {
            Some(end) => end,
            None => self.story.fail(format!("expected task '{}' to end, but it did not", self.id)),
        }
    }
}

fn is_outcome(event: &Event) -> bool {
    matches!(event.event_type().as_str(), "task.completed" | "task.failed")
}

/// What was told of a task's progress.
pub(super) fn progress(story: &Story, task: &str) -> Vec<TaskProgress> {
    let of_task = story.events.iter().filter(|event| event.task() == Some(task));
    of_task.filter(|event| event.event_type() == "task.progress").filter_map(Event::data_as).collect()
}
