//! Which tasks follow on which.

use std::collections::HashMap;

/// The course of a run: stages one after another, each with so many tasks side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// Names of the workflows, each of which is that of the capability that its tasks ask for, too.
    pub names: Vec<String>,
    /// Tasks of each stage.
    pub stages: Vec<usize>,
    /// One task in so many fails at its first attempt and is done again; 0 for none.
    pub one_in_fails: u64,
}

/// A place in a course, as the id of a task has it: `t2:17`, the task 17 of the second stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    stage: usize,
    task: usize,
}

impl Place {
    pub(super) fn parse(id: &str) -> Option<Self> {
        let (stage, task) = id.strip_prefix('t')?.split_once(':')?;
        Some(Self { stage: stage.parse().ok()?, task: task.parse().ok()? })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "t{}:{}", self.stage, self.task)
    }
}

/// What comes next in a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Others of its stage are not done.
    Nothing,
    /// These tasks.
    Tasks(Vec<Place>),
    /// The end of the run.
    End,
}

/// Tasks that are not done, of the stages that runs are in.
#[derive(Debug, Default)]
pub(super) struct Open(HashMap<String, usize>);

impl Course {
    /// Whether the task with this number fails at its first attempt.
    pub(super) fn fails(&self, number: u64) -> bool {
        self.one_in_fails > 0 && number.is_multiple_of(self.one_in_fails)
    }

    /// The tasks of the first stage.
    pub(super) fn begin(&self) -> Next {
        self.stage(0)
    }

    /// What follows when a task of a run is done.
    pub(super) fn after(&self, open: &mut Open, run: &str, done: Place) -> Next {
        let width = self.stages.get(done.stage).copied().unwrap_or_default();
        if width > 1 {
            let left = open.0.entry(run.to_owned()).or_insert(width);
            *left -= 1;
            if *left > 0 {
                return Next::Nothing;
            }
            open.0.remove(run);
        }
        self.stage(done.stage + 1)
    }

    fn stage(&self, stage: usize) -> Next {
        match self.stages.get(stage) {
            Some(width) => Next::Tasks((0..*width).map(|task| Place { stage, task }).collect()),
            None => Next::End,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_begins_when_all_of_the_one_before_is_done() {
        let course = Course { names: vec!["bench".to_owned()], stages: vec![2, 1], one_in_fails: 0 };
        let place = |id| Place::parse(id).expect("a place");
        let mut open = Open::default();
        assert_eq!(course.begin(), Next::Tasks(vec![place("t0:0"), place("t0:1")]));
        assert_eq!(course.after(&mut open, "a", place("t0:1")), Next::Nothing);
        assert_eq!(course.after(&mut open, "b", place("t0:0")), Next::Nothing);
        assert_eq!(course.after(&mut open, "a", place("t0:0")), Next::Tasks(vec![place("t1:0")]));
        assert_eq!(course.after(&mut open, "a", place("t1:0")), Next::End);
        assert_eq!(place("t12:345").to_string(), "t12:345");
    }
}
