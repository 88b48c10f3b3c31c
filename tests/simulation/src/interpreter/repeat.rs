use mesh_schemas::TaskId;
use mesh_schemas::payload::code;
use serde_json::Value;

use super::life::Life;
use super::reading::{Failure, Fate, Marks, Reading, part};
use crate::workload::{Around, Body, Brings, Repeat};

/// A loop that repeats.
pub(super) struct RepeatLife<'a> {
    repeat: &'a Repeat,
    body: &'a Body,
    path: TaskId,
    number: u32,
    /// The iteration under way.
    life: Option<Life<'a>>,
    previous: Value,
    outputs: Vec<Value>,
}

impl<'a> RepeatLife<'a> {
    pub(super) fn new(repeat: &'a Repeat, body: &'a Body, path: &TaskId) -> Self {
        let (previous, outputs) = (Value::Null, Vec::new());
        Self { repeat, body, path: path.clone(), number: 0, life: None, previous, outputs }
    }

    /// Begins the next iteration, and those behind it as long as they are over at once.
    pub(super) fn begin(
        &mut self,
        at: usize,
        reading: &mut Reading<'a>,
        around: &Around<'_>,
    ) -> Option<Fate> {
        loop {
            self.number += 1;
            let number = Value::from(self.number);
            let brings = Brings::Iteration { number: &number, previous: &self.previous };
            let inside = Around { parent: Some(around), brings };
            match Life::begin(self.body, &self.own_path(), at, reading, &inside) {
                Ok(life) => {
                    self.life = Some(life);
                    return None;
                }
                Err(fate) => {
                    if let Some(fate) = self.iteration_over(fate, at, reading, around) {
                        return Some(fate);
                    }
                }
            }
        }
    }

    fn own_path(&self) -> TaskId {
        part(Some(&self.path), self.number)
    }

    pub(super) fn next(&self) -> Option<usize> {
        self.life.as_ref().and_then(Life::next)
    }

    pub(super) fn waits_for_word(&self, task: &TaskId) -> bool {
        self.life.as_ref().is_some_and(|life| life.waits_for_word(task))
    }

    pub(super) fn go_on(
        &mut self,
        at: usize,
        reading: &mut Reading<'a>,
        around: &Around<'_>,
    ) -> Option<Fate> {
        let number = Value::from(self.number);
        let brings = Brings::Iteration { number: &number, previous: &self.previous };
        let fate = self.life.as_mut()?.go_on(at, reading, &Around { parent: Some(around), brings })?;
        self.life = None;
        self.iteration_over(fate, at, reading, around).or_else(|| self.begin(at, reading, around))
    }

    /// Notes what an iteration came to; the fate of the loop, if it was the last.
    fn iteration_over(
        &mut self,
        fate: Fate,
        at: usize,
        reading: &mut Reading<'a>,
        around: &Around<'_>,
    ) -> Option<Fate> {
        reading.is_over(&self.own_path(), at);
        let (output, marks) = match fate {
            Fate::Done(output, marks) => (output, marks),
            Fate::Skipped => (Value::Null, Marks::default()),
            Fate::Failed(_) => return Some(fate),
        };
        self.outputs.push(output.clone());
        let number = Value::from(self.number);
        let brings = Brings::Iteration { number: &number, previous: &self.previous };
        let inside = Around { parent: Some(around), brings };
        let ends = self.repeat.until.truth(&reading.scope(&inside, &output));
        match ends {
            Err(_) => Some(Fate::Failed(Failure::expression(&self.path))),
            Ok(false) if self.number < self.repeat.max => {
                self.previous = output;
                None
            }
            Ok(false) if !self.repeat.goes_on => {
                Some(Fate::Failed(Failure::found(code::REPEAT_EXHAUSTED, Some(&self.path))))
            }
            Ok(_) => Some(Fate::Done(output, marks)),
        }
    }

    /// The outputs of all iterations so far.
    pub(super) fn iterations(&self) -> Value {
        Value::Array(self.outputs.clone())
    }

    pub(super) fn cut(&self, at: usize, code: &'static str, reading: &mut Reading<'a>) {
        if let Some(life) = &self.life {
            life.cut(at, code, reading);
        }
    }
}
