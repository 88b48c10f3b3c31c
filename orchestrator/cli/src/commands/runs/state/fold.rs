//! What each event of a run, and each note about it, changes.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use mesh_bus::RunOutcome;
use mesh_core::{Action, Decision, Event, Fact, Lost, Plan, Run, Started, Step, TaskView};
use mesh_schemas::payload::{TaskAssigned, TaskProgress, TaskReleased, child_run};
use mesh_schemas::{
    AgentId, Attempt, Capability, Namespace, Shards, StoredMessage, Subject, TaskId, TaskKey, Timer,
    WorkflowName,
};

use super::lost::lost;
use super::progress::top;
use super::read::{data, ended};
use super::task::{AttemptState, Served, TaskState, Waiting};
use super::{Counts, Rerun, RunState, RunStatus, RunTarget};
use crate::text;

impl RunState {
    /// The state after the first event of a run.
    pub(super) fn begin(
        (namespace, shards): (Namespace, Shards),
        event: &Event,
        started: &Started,
        plan: Arc<Plan>,
    ) -> Self {
        let data = &started.data;
        let (fold, step) = Run::start(event, started, Arc::clone(&plan));
        let mut tasks: Vec<TaskState> = fold.tasks().into_iter().map(TaskState::from).collect();
        if started.lost.is_some() {
            // What became of them is told by its end.
            tasks.iter_mut().for_each(|task| task.status = "pending");
        }
        let (input_lost, taken_over_lost) = match started.lost.clone() {
            Some(Lost::Content(why)) => (Some(why), None),
            Some(Lost::TakenOver(why)) => (None, Some(why)),
            None => (None, None),
        };
        let mut state = Self {
            run: event.run,
            target: RunTarget { workflow: started.workflow.clone(), capability: data.capability.clone() },
            status: RunStatus::Running,
            started: event.time,
            ended: None,
            duration_ms: None,
            deadline: fold.header.deadline,
            digest: data.digest.clone(),
            request: data.request.clone(),
            parent: data.parent.clone(),
            rerun: data
                .taken_over
                .as_ref()
                .map(|taken| Rerun { of: taken.run, taken_over: taken.tasks.keys().cloned().collect() }),
            correlation_id: fold.header.correlation_id.clone(),
            input: data.input.clone(),
            config: data.config.clone(),
            input_lost,
            taken_over_lost,
            output: None,
            output_lost: None,
            error: None,
            reason: None,
            paused: None,
            progress: None,
            counts: Counts::of(&tasks),
            places: tasks.iter().enumerate().map(|(place, task)| (task.id.clone(), place)).collect(),
            tasks,
            archived: false,
            late: 0,
            events_gone: false,
            outcome: None,
            is_unexplained: false,
            fold,
            plan,
            past: None,
            early: Default::default(),
            namespace,
            shards,
            results: Default::default(),
        };
        for id in state.rerun.iter().flat_map(|rerun| &rerun.taken_over) {
            if let Some(&place) = state.places.get(id) {
                state.tasks[place].is_taken_over = true;
            }
        }
        if state.fold.is_paused() {
            state.status = RunStatus::Paused;
        }
        if state.lost_beginning().is_none() {
            state.stand(&step.changed);
        }
        state.decided(&step);
        state.refresh(event.time, (0..state.tasks.len()).collect());
        state
    }

    /// Takes the next event of the log. Returns the places of the tasks that stand otherwise than before.
    pub(crate) fn apply(&mut self, namespace: &Namespace, stored: &StoredMessage) -> Vec<usize> {
        let read = Event::read(namespace, stored);
        self.results.hear(namespace, stored, &read);
        // What the fold cannot take, orchestrators put aside: it is no part of the run.
        let Ok(event) = read else { return Vec::new() };
        let (was_over, was_paused) = (self.fold.has_ended(), self.fold.is_paused());
        let step = self.fold.apply(&event);
        let mut touched = self.stand(&step.changed);
        if step.stray.is_none() {
            touched.extend(self.outcome_of_attempt(&event, stored));
        }
        self.decided(&step);
        if self.outcome.is_none()
            && let Some(outcome) = ended(namespace, stored)
        {
            self.output_lost = lost(namespace, stored);
            self.end(stored.time, outcome);
            self.is_unexplained = !was_over;
        }
        if self.outcome.is_none() {
            self.status = if self.fold.is_paused() { RunStatus::Paused } else { RunStatus::Running };
        }
        let is_paused = self.fold.is_paused();
        if self.fold.has_ended() != was_over || is_paused != was_paused || self.ended_without_input() {
            // All that were open stand otherwise.
            self.stand(&self.fold.tasks());
            touched = (0..self.tasks.len()).collect();
        }
        self.refresh(stored.time, touched)
    }

    /// Takes the outcome that an event brings. Returns the place of its task.
    fn outcome_of_attempt(&mut self, event: &Event, stored: &StoredMessage) -> Option<usize> {
        let (key, result) = match &event.fact {
            Fact::Completed(key, done) => (key, Ok(Some(done.output.clone()))),
            Fact::Failed(key, error) => (key, Err(error.clone())),
            _ => return None,
        };
        self.attempt_mut(&key.task, key.attempt)?.end(event.time, told_by(stored), result);
        self.places.get(&key.task).copied()
    }

    fn decided(&mut self, step: &Step) {
        for Decision { at, action, .. } in &step.decisions {
            if let Action::Create(key, _) | Action::StartChild(key, _) = action {
                self.is_done_anew(&key.task);
            }
            match action {
                Action::Create(key, created) => {
                    let mut attempt = AttemptState::new(key.attempt, *at);
                    attempt.input = Some(created.input.clone());
                    if let Some((agent, time)) = self.early.remove(&(key.task.clone(), key.attempt)) {
                        (attempt.agent, attempt.assigned) = (Some(agent), Some(time));
                    }
                    self.add(key, attempt);
                }
                // An attempt that is under way is given up when that is stored: an outcome may come first.
                Action::GiveUp(key, error) if self.attempt_mut(&key.task, key.attempt).is_none() => {
                    let mut attempt = AttemptState::new(key.attempt, *at);
                    attempt.end(*at, None, Err(error.clone()));
                    self.add(key, attempt);
                }
                Action::StartChild(key, child) => {
                    let mut attempt = AttemptState::new(key.attempt, *at);
                    attempt.input = Some(child.input.clone());
                    attempt.run = Some(child_run(&self.namespace, self.shards, key));
                    let place = self.place_of(&key.task, None, Some(&child.workflow));
                    self.tasks[place].attempts.push(attempt);
                }
                Action::SetTimer(Timer::Retry { task, after }, due) => {
                    if let Some(attempt) = self.attempt_mut(task, *after) {
                        attempt.retry_at = Some(*due);
                    }
                }
                Action::Pause(_, paused) => self.paused = Some(paused.clone()),
                Action::Resume(_) | Action::End(_) => self.paused = None,
                Action::Route(..)
                | Action::GiveUp(..)
                | Action::SetTimer(..)
                | Action::CancelChild(..)
                | Action::Report(..) => {}
            }
        }
    }

    /// A task was to be taken over, and something that it needs goes otherwise now.
    fn is_done_anew(&mut self, task: &TaskId) {
        if self.rerun.is_some()
            && let Some(place) = top(task).and_then(|top| self.places.get(&top))
        {
            self.tasks[*place].is_taken_over = false;
        }
    }

    pub(super) fn add(&mut self, key: &TaskKey, attempt: AttemptState) {
        let place = self.place_of(&key.task, Some(&key.capability), None);
        self.tasks[place].attempts.push(attempt);
    }

    /// Takes over how tasks stand by the fold. Returns their places.
    fn stand(&mut self, views: &[TaskView]) -> Vec<usize> {
        let mut touched = Vec::new();
        for view in views {
            let place = self.place_of(&view.id, view.agent.as_ref(), view.workflow.as_ref());
            let task = &mut self.tasks[place];
            if task.status != view.status {
                self.counts.change(task.status, view.status);
                task.status = view.status;
            }
            touched.push(place);
        }
        touched
    }

    /// The place of a task, which it gets when it is first heard of: what loops and groups are made of comes about while
    /// the run goes on.
    fn place_of(
        &mut self,
        task: &TaskId,
        capability: Option<&Capability>,
        workflow: Option<&WorkflowName>,
    ) -> usize {
        if let Some(place) = self.places.get(task) {
            return *place;
        }
        let place = self.tasks.len();
        let (id, agent, workflow) = (task.clone(), capability.cloned(), workflow.cloned());
        let view = TaskView { id, agent, workflow, status: "pending", attempt: None };
        self.counts.add(view.status);
        self.tasks.push(TaskState::from(view));
        self.places.insert(task.clone(), place);
        place
    }

    pub(super) fn attempt_mut(&mut self, task: &TaskId, attempt: Attempt) -> Option<&mut AttemptState> {
        self.tasks[*self.places.get(task)?].attempt_mut(attempt)
    }

    /// Forgets what was made up of tasks of which nothing is known.
    pub(super) fn forget_tasks(&mut self) {
        self.events_gone = true;
        for task in &mut self.tasks {
            let (id, capability) = (task.id.clone(), task.capability.clone());
            let workflow = task.workflow.clone();
            *task = TaskState { workflow, ..TaskState::new(id, capability, "unknown") };
        }
        self.counts =
            self.outcome.as_ref().and_then(Counts::told_by).unwrap_or_else(|| Counts::of(&self.tasks));
    }

    fn end(&mut self, at: DateTime<Utc>, outcome: RunOutcome) {
        self.ended = Some(at);
        self.duration_ms = Some(text::millis(self.started, at));
        match &outcome {
            RunOutcome::Completed(completed) => {
                self.status = RunStatus::Completed;
                self.output = self.output_lost.is_none().then(|| completed.output.clone());
            }
            RunOutcome::Failed(failed) => {
                (self.status, self.error) = (RunStatus::Failed, Some(failed.error.clone()));
            }
            RunOutcome::Cancelled(cancelled) => {
                (self.status, self.reason) = (RunStatus::Cancelled, cancelled.reason.clone());
            }
            RunOutcome::Rejected(_) => {}
        }
        self.outcome = Some(outcome);
    }

    /// Works out what follows for the tasks at these places. Returns those that stand otherwise than was told before.
    pub(super) fn refresh(&mut self, at: DateTime<Utc>, mut touched: Vec<usize>) -> Vec<usize> {
        touched.sort_unstable();
        touched.dedup();
        let mut changed = Vec::new();
        for place in touched {
            let task = &mut self.tasks[place];
            task.refresh();
            if task.has_ended() && task.ended.is_none() {
                task.ended = Some(at);
                task.duration_ms = task.started.map(|started| text::millis(started, at));
            }
            let now = (task.status, task.attempt);
            if task.told.replace(now) != Some(now) {
                changed.push(place);
            }
        }
        // First what came about, then what follows from it.
        changed.sort_by_key(|place| match self.tasks[*place].status {
            "done" | "failed" | "retrying" => 0,
            "skipped" | "cancelled" => 1,
            _ => 2,
        });
        changed
    }

    /// Tells of every task that has not begun which of its needs have not ended.
    pub(super) fn tell_needs(&mut self) {
        let is_open =
            |need: &&TaskId| self.places.get(*need).is_some_and(|place| !self.tasks[*place].has_ended());
        let mut waiting = Vec::new();
        for (id, defined) in &self.plan.definition.tasks {
            if let Some(&place) = self.places.get(id).filter(|place| self.tasks[**place].status == "pending")
            {
                // In the order in which the definition names them.
                waiting.push((place, defined.needs.iter().filter(is_open).cloned().collect()));
            }
        }
        for (place, needs) in waiting {
            self.tasks[place].waiting = Some(Waiting::Needs(needs));
        }
    }

    /// Takes a note of an agent: that it took an attempt, or gave it back. Returns the task that it is about.
    pub(crate) fn note(&mut self, namespace: &Namespace, stored: &StoredMessage) -> Option<usize> {
        match Subject::parse(namespace, &stored.message.subject).ok()? {
            Subject::TaskAssigned { key, .. } => {
                let agent = data::<TaskAssigned>(stored)?.agent;
                self.taken(key, agent, stored.time)
            }
            Subject::TaskReleased { key, .. } => {
                let agent = data::<TaskReleased>(stored)?.agent;
                self.early.remove(&(key.task.clone(), key.attempt));
                self.of_open_attempt(&key, |attempt| {
                    if attempt.agent.as_ref() == Some(&agent) {
                        (attempt.agent, attempt.assigned, attempt.progress) = (None, None, None);
                    }
                })
            }
            _ => None,
        }
    }

    fn taken(&mut self, key: TaskKey, agent: AgentId, at: DateTime<Utc>) -> Option<usize> {
        if self.attempt_mut(&key.task, key.attempt).is_none() {
            self.early.insert((key.task, key.attempt), (agent, at));
            return None;
        }
        // Who it was is told by the outcome, when there is one; when it was taken is told by nobody else.
        if let Some(attempt) = self.attempt_mut(&key.task, key.attempt) {
            attempt.assigned = Some(at);
        }
        self.of_open_attempt(&key, |attempt| attempt.agent = Some(agent))
    }

    /// Takes what an agent says of how far it is. Returns the task that it is about.
    pub(crate) fn progress(&mut self, key: &TaskKey, progress: TaskProgress) -> Option<usize> {
        self.of_open_attempt(key, |attempt| {
            attempt.agent = Some(progress.agent);
            attempt.progress = Some((progress.progress, progress.message));
        })
    }

    fn of_open_attempt(&mut self, key: &TaskKey, change: impl FnOnce(&mut AttemptState)) -> Option<usize> {
        let place = *self.places.get(&key.task)?;
        let task = &mut self.tasks[place];
        change(task.attempt_mut(key.attempt).filter(|attempt| attempt.ended.is_none())?);
        task.refresh();
        Some(place)
    }
}

/// The agent that an outcome is from, if it says so.
pub(super) fn told_by(stored: &StoredMessage) -> Option<AgentId> {
    data::<serde_json::Value>(stored)?.get("agent")?.as_str()?.parse().ok()
}

impl TaskState {
    fn from(view: mesh_core::TaskView) -> Self {
        Self { workflow: view.workflow, ..Self::new(view.id, view.agent, view.status) }
    }

    /// Works out what follows from its status and its attempts.
    fn refresh(&mut self) {
        let last = self.attempts.last();
        self.attempt = last.map(|last| last.attempt);
        self.agent = last.and_then(|last| last.agent.clone());
        self.run = last.and_then(|last| last.run);
        self.started = self.attempts.first().map(|first| first.started);
        self.error = match self.status {
            "failed" | "retrying" | "cancelled" => last.and_then(|last| last.error.clone()),
            _ => None,
        };
        self.waiting = match self.status {
            "active" if self.run.is_some() => self.run.map(Waiting::Run),
            // A loop of work is nobody's: its items are.
            "active" if self.agent.is_none() && self.capability.is_some() && last.is_some() => {
                Some(Waiting::Agent(Served::Unknown))
            }
            "retrying" => last.and_then(|last| last.retry_at).map(Waiting::RetryAt),
            _ => None,
        };
    }
}
