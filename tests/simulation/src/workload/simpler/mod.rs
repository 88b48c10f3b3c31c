mod less;
mod mend;
mod size;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use mesh_schemas::{TaskId, WorkflowName};

use super::Workload;
use super::behaviour::{Answer, Behaviour, Ending};
use super::run::{Again, Run, Script};
use super::task::{Body, Recovery, Task, Work};
use super::workflow::Workflow;

impl Workload {
    /// Workloads with one thing less, the smallest first. None if nothing can be left out.
    #[must_use]
    pub fn simpler(&self) -> Vec<Self> {
        let mut simpler = Simpler { whole: self, size: self.size(), found: Vec::new() };
        for place in 0..self.runs.len() {
            simpler.with(|workload| drop(workload.runs.remove(place)));
            simpler.run(place);
        }
        for (name, workflow) in &self.workflows {
            simpler.workflow(name, workflow);
        }
        for (name, ways) in &self.called {
            (0..ways.len()).for_each(|way| simpler.way(name, way));
        }
        let mut found = simpler.found;
        found.sort_by_key(|(size, _)| *size);
        found.into_iter().map(|(_, workload)| workload).collect()
    }

    /// How much there is to understand. Every simpler workload has less.
    #[must_use]
    pub fn size(&self) -> usize {
        let ways = self.called.values().flatten().map(|script| 1 + script_size(script));
        self.workflows.values().map(size::of_workflow).chain(self.runs.iter().map(run_size)).chain(ways).sum()
    }

    /// Removes what refers to something that is not there any more.
    fn mend(&mut self) {
        self.workflows.values_mut().for_each(mend::workflow);
        let mut asked: BTreeSet<_> = self.runs.iter().filter_map(Run::workflow).cloned().collect();
        // Workflows start runs of those only whose names come before their own.
        for (name, workflow) in self.workflows.iter().rev() {
            if asked.contains(name) {
                asked.extend(self.workflows.keys().filter(|other| workflow.calls(other)).cloned());
            }
        }
        self.workflows.retain(|name, _| asked.contains(name));
        self.pin();
        let Self { workflows, runs, called, .. } = self;
        for run in runs {
            if let Some(workflow) = run.workflow().and_then(|name| workflows.get(name)) {
                run.inner.retain(|inner| workflow.work(&inner.task).is_some_and(|work| work.call.is_some()));
                fit(&mut run.script, workflow);
                run.pause_before.retain(|task| workflow.tasks.contains_key(task));
                if let Some(again) = &mut run.again {
                    again.from.retain(|task| workflow.tasks.contains_key(task));
                    fit(&mut again.script, workflow);
                }
            }
        }
        called.retain(|name, _| workflows.values().any(|workflow| workflow.calls(name)));
        for (name, ways) in called {
            if let Some(workflow) = workflows.get(name) {
                ways.iter_mut().for_each(|script| fit(script, workflow));
            }
        }
    }

    /// Has tasks that start runs of a version start those of the one that is there.
    fn pin(&mut self) {
        let names: Vec<WorkflowName> = self.workflows.keys().cloned().collect();
        for name in names {
            let Some(mut workflow) = self.workflows.remove(&name) else { continue };
            workflow.for_each_body(&mut |body| {
                let Body::Work(Work { agent, call: Some(call), .. }) = body else { return };
                let mut others = self.workflows.iter();
                if let (Some(_), Some((_, called))) =
                    (&call.version, others.find(|(name, _)| name.as_str() == agent.as_str()))
                {
                    call.version = Some(called.digest());
                }
            });
            self.workflows.insert(name, workflow);
        }
    }
}

/// Forgets what agents do with what is not there.
fn fit(script: &mut Script, workflow: &Workflow) {
    script.retain(|(task, _), behaviour| {
        workflow.work(task).is_some() && (behaviour.ending != Ending::Hangs || workflow.may_hang(task))
    });
}

/// Simplifies a workload that is faulty, step by step, as long as it stays faulty.
pub fn shrink(mut workload: Workload, mut is_faulty: impl FnMut(&Workload) -> bool) -> Workload {
    while let Some(simpler) = workload.simpler().into_iter().find(&mut is_faulty) {
        workload = simpler;
    }
    workload
}

struct Simpler<'a> {
    whole: &'a Workload,
    size: usize,
    found: Vec<(usize, Workload)>,
}

impl Simpler<'_> {
    /// Adds the workload with a change, if it is smaller with it.
    fn with(&mut self, change: impl FnOnce(&mut Workload)) {
        let mut workload = self.whole.clone();
        change(&mut workload);
        workload.mend();
        let size = workload.size();
        if size < self.size {
            self.found.push((size, workload));
        }
    }

    fn run(&mut self, place: usize) {
        let run = &self.whole.runs[place];
        self.with(|workload| drop(workload.runs[place].sent.split_off(1)));
        self.with(|workload| workload.runs[place].correlation_id = None);
        for at in 0..run.signals.len() {
            self.with(|workload| drop(workload.runs[place].signals.remove(at)));
        }
        for at in 0..run.inner.len() {
            self.with(|workload| drop(workload.runs[place].inner.remove(at)));
        }
        self.script(&run.script, |workload| workload.runs.get_mut(place).map(|run| &mut run.script));
        for task in &run.pause_before {
            self.with(|workload| {
                workload.runs[place].pause_before.remove(task);
            });
        }
        let Some(again) = &run.again else { return };
        self.with(|workload| workload.runs[place].again = None);
        let mut with = |change: &dyn Fn(&mut Again)| {
            self.with(|workload| workload.runs[place].again.iter_mut().for_each(change));
        };
        with(&|again| again.input = serde_json::Value::Null);
        again.from.iter().for_each(|task| {
            with(&|again| {
                again.from.remove(task);
            });
        });
        self.script(&again.script, |workload| {
            workload.runs.get_mut(place)?.again.as_mut().map(|again| &mut again.script)
        });
    }

    /// One of the ways in which runs go that tasks start.
    fn way(&mut self, name: &WorkflowName, way: usize) {
        let only = self.whole.called[name][way].clone();
        self.with(|workload| drop(workload.called.insert(name.clone(), vec![only])));
        let script = &self.whole.called[name][way];
        self.script(script, |workload| workload.called.get_mut(name).and_then(|ways| ways.get_mut(way)));
    }

    fn script(&mut self, script: &Script, of: impl Fn(&mut Workload) -> Option<&mut Script>) {
        let mut with = |change: &dyn Fn(&mut Script)| {
            self.with(|workload| of(workload).into_iter().for_each(change));
        };
        with(&Script::clear);
        for (key, behaviour) in script {
            with(&|script| script.retain(|other, _| other != key));
            for simpler in simpler_behaviours(behaviour) {
                with(&|script| {
                    script.insert(key.clone(), simpler.clone());
                });
            }
        }
    }

    fn workflow(&mut self, name: &WorkflowName, workflow: &Workflow) {
        self.change(name, |workflow| workflow.output = None);
        self.change(name, |workflow| workflow.timeout = None);
        self.change(name, |workflow| workflow.finally = None);
        self.change(name, |workflow| workflow.recovery = Recovery::Fail);
        self.change(name, |workflow| workflow.recovery = Recovery::Continue);
        self.change(name, |workflow| {
            if let Some(finally) = &mut workflow.finally {
                finally.timeout = None;
            }
        });
        for (place, tasks) in walk::blocks(workflow).into_iter().enumerate() {
            for (id, task) in tasks {
                if tasks.len() > 1 {
                    self.block(name, place, |tasks| without(tasks, id, true));
                    self.block(name, place, |tasks| without(tasks, id, false));
                }
                for change in less::of_task(task) {
                    self.block(name, place, |tasks| {
                        if let Some(task) = tasks.get_mut(id) {
                            change(task);
                        }
                    });
                }
            }
        }
        for (place, body) in walk::bodies(workflow).into_iter().enumerate() {
            for change in less::of_body(body) {
                self.change(name, |workflow| walk::change_body(workflow, place, change));
            }
        }
    }

    fn change(&mut self, name: &WorkflowName, change: impl FnOnce(&mut Workflow)) {
        self.with(|workload| {
            if let Some(workflow) = workload.workflows.get_mut(name) {
                change(workflow);
            }
        });
    }

    fn block(&mut self, name: &WorkflowName, place: usize, change: impl FnOnce(&mut BTreeMap<TaskId, Task>)) {
        self.change(name, |workflow| walk::change_block(workflow, place, change));
    }
}

/// Removes a task; those that needed it may inherit what it needed.
fn without(tasks: &mut BTreeMap<TaskId, Task>, id: &TaskId, inherit: bool) {
    let Some(gone) = tasks.remove(id) else { return };
    for task in tasks.values_mut() {
        if task.needs.remove(id) && inherit {
            task.needs.extend(gone.needs.iter().cloned());
        }
    }
}

fn simpler_behaviours(behaviour: &Behaviour) -> Vec<Behaviour> {
    let mut simpler = vec![Behaviour { takes: std::time::Duration::ZERO, ..behaviour.clone() }];
    match &behaviour.ending {
        Ending::Returns(Answer::Object(0)) => {}
        Ending::Returns(_) => {
            simpler.push(Behaviour { ending: Behaviour::PLAIN.ending, ..behaviour.clone() });
        }
        Ending::Fails { code, retryable, retry_after: Some(_) } => {
            let ending = Ending::Fails { code, retryable: *retryable, retry_after: None };
            simpler.push(Behaviour { ending, ..behaviour.clone() });
        }
        Ending::Fails { .. } | Ending::Panics | Ending::Hangs => {}
    }
    simpler.push(Behaviour { quality: None, ..behaviour.clone() });
    simpler
}

fn run_size(run: &Run) -> usize {
    let signals = run.signals.len() + run.inner.len();
    let again = run.again.as_ref().map_or(0, |again| {
        10 + again.from.len() + usize::from(!again.input.is_null()) + script_size(&again.script)
    });
    let own = usize::from(run.correlation_id.is_some()) + run.pause_before.len() + script_size(&run.script);
    20 + 2 * run.sent.len() + 3 * signals + own + again
}

fn script_size(script: &Script) -> usize {
    script.values().map(behaviour_size).sum()
}

fn behaviour_size(behaviour: &Behaviour) -> usize {
    let ending = match &behaviour.ending {
        Ending::Returns(Answer::Object(0)) => 0,
        Ending::Returns(_) => 1,
        Ending::Fails { retry_after, .. } => 2 + usize::from(retry_after.is_some()),
        Ending::Panics | Ending::Hangs => 2,
    };
    1 + usize::from(!behaviour.takes.is_zero()) + usize::from(behaviour.quality.is_some()) + ending
}
