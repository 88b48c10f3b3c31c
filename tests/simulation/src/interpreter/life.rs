use mesh_schemas::TaskId;
use serde_json::Value;

use super::block::Block;
use super::each::EachLife;
use super::merge;
use super::reading::{Failure, Fate, Reading, part};
use super::repeat::RepeatLife;
use super::work::WorkLife;
use crate::workload::{Around, Body};

/// What becomes of something that has begun and has not ended. It knows where in the log it goes on.
pub(super) enum Life<'a> {
    Work(Box<WorkLife<'a>>),
    Group(Box<Block<'a>>),
    Each(Box<EachLife<'a>>),
    Repeat(Box<RepeatLife<'a>>),
}

/// What follows from a beginning: a life, or a fate at once.
pub(super) type Begun<'a> = Result<Life<'a>, Fate>;

impl<'a> Life<'a> {
    /// Begins what is done once.
    pub(super) fn begin(
        body: &'a Body,
        path: &TaskId,
        at: usize,
        reading: &mut Reading<'a>,
        around: &Around<'_>,
    ) -> Begun<'a> {
        match body {
            Body::Work(work) => WorkLife::begin(work, path, at, reading, around),
            Body::Group(group) => {
                let mut block = Block::new(&group.tasks, group.output.as_ref(), Some(path.clone()));
                match block.begin(at, reading, Some(around)) {
                    None => Ok(Self::Group(Box::new(block))),
                    Some(fate) => Err(fate),
                }
            }
            Body::Merge(merge) => Err(never_began(merge::merged(merge, path, around), reading)),
            Body::Switch(cases) => {
                for (number, case) in cases.iter().enumerate() {
                    let holds = match &case.when {
                        None => Ok(true),
                        Some(when) => when.truth(&reading.scope(around, &Value::Null)),
                    };
                    match holds {
                        Ok(true) => {
                            return Self::begin(&case.body, &part(Some(path), number), at, reading, around);
                        }
                        Ok(false) => {}
                        Err(_) => return Err(never_began(Fate::Failed(Failure::expression(path)), reading)),
                    }
                }
                Err(never_began(Fate::Skipped, reading))
            }
        }
    }

    /// The next event that is for it.
    pub(super) fn next(&self) -> Option<usize> {
        match self {
            Self::Work(work) => work.next(),
            Self::Group(block) => block.next(),
            Self::Each(each) => each.next(),
            Self::Repeat(repeat) => repeat.next(),
        }
    }

    /// Whether an event is for it: the next one, or one that has work in it tried again.
    pub(super) fn is_for(&self, at: usize, retried: Option<&TaskId>) -> bool {
        retried.map_or_else(|| self.next() == Some(at), |task| self.waits_for_word(task))
    }

    /// Whether it has work in it that waits until somebody has it tried again.
    pub(super) fn waits_for_word(&self, task: &TaskId) -> bool {
        match self {
            Self::Work(work) => work.waits_for_word(task),
            Self::Group(block) => block.waits_for_word(task),
            Self::Each(each) => each.waits_for_word(task),
            Self::Repeat(repeat) => repeat.waits_for_word(task),
        }
    }

    /// Takes the next event that is for it.
    pub(super) fn go_on(
        &mut self,
        at: usize,
        reading: &mut Reading<'a>,
        around: &Around<'_>,
    ) -> Option<Fate> {
        match self {
            Self::Work(work) => work.go_on(at, reading, around),
            Self::Group(block) => block.go_on(at, reading, Some(around)),
            Self::Each(each) => each.go_on(at, reading, around),
            Self::Repeat(repeat) => repeat.go_on(at, reading, around),
        }
    }

    /// What it belongs to is over.
    pub(super) fn cut(&self, at: usize, code: &'static str, reading: &mut Reading<'a>) {
        match self {
            Self::Work(work) => work.cut(at, code, reading),
            Self::Group(block) => block.cut(at, code, reading),
            Self::Each(each) => each.cut(at, code, reading),
            Self::Repeat(repeat) => repeat.cut(at, code, reading),
        }
    }

    /// The outputs of all iterations so far.
    pub(super) fn iterations(&self) -> Value {
        match self {
            Self::Repeat(repeat) => repeat.iterations(),
            _ => Value::Null,
        }
    }
}

/// What never began counts as one.
pub(super) fn never_began(fate: Fate, reading: &mut Reading<'_>) -> Fate {
    reading.count(&fate);
    fate
}
