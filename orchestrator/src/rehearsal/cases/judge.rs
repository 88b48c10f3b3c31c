//! What was not as expected.

use chrono::TimeDelta;
use mesh_bus::RunOutcome;
use mesh_schemas::TaskId;
use mesh_schemas::definition::Span;
use mesh_schemas::difference::{Difference, Exactness, differences};
use serde_json::{Value, json};

use super::expect::{Ending, ExpectedTask, ExpectedValue, Took};
use super::mock::Answers;
use super::play::Played;
use super::report::Finding;
use super::{Case, Cases};
use crate::rehearsal::{Course, TaskCourse, Work, outcome_name};

/// Characters of data that a message shows; all of it is in the report for programs.
const SHOWN: usize = 200;

pub(super) fn judge(cases: &Cases, case: &Case, played: &Played) -> Vec<Finding> {
    let mut judge = Judge { cases, case, findings: Vec::new() };
    match played {
        Played::Unmocked(_, work) => judge.unmocked(work),
        Played::Rejected(rejected) => judge.ending(Some(&RunOutcome::Rejected(rejected.clone()))),
        Played::Ended(course) => {
            judge.ending(course.outcome.as_ref());
            judge.course(course);
        }
    }
    judge.findings
}

struct Judge<'a> {
    cases: &'a Cases,
    case: &'a Case,
    findings: Vec<Finding>,
}

impl Judge<'_> {
    fn find(&mut self, path: &str, message: String, expected: Option<Value>, found: Option<Value>) {
        let position = self.cases.positions.of(&self.case.at(path));
        self.findings.push(Finding::new(position, path, message).with(expected, found));
    }

    /// That something is another value than expected, if it is.
    fn same<T: PartialEq + Clone + Into<Value>>(&mut self, path: &str, expected: &T, found: Option<&T>) {
        if found != Some(expected) {
            let difference = Difference {
                place: String::new(),
                expected: Some(expected.clone().into()),
                found: found.cloned().map(Into::into),
            };
            self.differs(path, difference);
        }
    }

    fn differs(&mut self, path: &str, Difference { place, expected, found }: Difference) {
        let message = match (&expected, &found) {
            (Some(expected), Some(found)) => format!("expected {}, found {}", shown(expected), shown(found)),
            (Some(expected), None) => format!("expected {}, found nothing", shown(expected)),
            (None, found) => {
                format!("expected nothing, found {}", found.as_ref().map(shown).unwrap_or_default())
            }
        };
        self.find(&format!("{path}{place}"), message, expected, found);
    }

    fn contains(&mut self, path: &str, part: &str, found: &str) {
        if !found.contains(part) {
            let message =
                format!("expected a text with {} in it, found {}", shown(&json!(part)), shown(&json!(found)));
            self.find(path, message, Some(json!(part)), Some(json!(found)));
        }
    }

    fn value(&mut self, path: &str, expected: &ExpectedValue, found: &Value) {
        let both = [
            (path.to_owned(), &expected.exactly, Exactness::Equal),
            (format!("{path}_contains"), &expected.contains, Exactness::Contains),
        ];
        for (path, expected, exactness) in both {
            for difference in expected.iter().flat_map(|expected| differences(expected, found, exactness)) {
                self.differs(&path, difference);
            }
        }
    }

    fn ending(&mut self, outcome: Option<&RunOutcome>) {
        let expected = &self.case.expect.ending;
        let path = |key: &str| format!("expect.{}.{key}", expected.as_str());
        match (expected, outcome) {
            (Ending::Completed(expected), Some(RunOutcome::Completed(completed))) => {
                self.value(&path("output"), expected, &completed.output);
            }
            (Ending::Failed { code, task, message_contains }, Some(RunOutcome::Failed(failed))) => {
                if let Some(code) = code {
                    self.same(&path("code"), code, Some(&failed.error.code));
                }
                if let Some(task) = task {
                    let found = failed.task.as_ref().map(ToString::to_string);
                    self.same(&path("task"), &task.to_string(), found.as_ref());
                }
                if let Some(part) = message_contains {
                    self.contains(&path("message_contains"), part, &failed.error.message);
                }
            }
            (Ending::Cancelled { reason }, Some(RunOutcome::Cancelled(cancelled))) => {
                if let Some(reason) = reason {
                    self.same(&path("reason"), reason, cancelled.reason.as_ref());
                }
            }
            (Ending::Rejected { code, reasons_contain }, Some(RunOutcome::Rejected(rejected))) => {
                if let Some(code) = code {
                    self.same(&path("code"), code, Some(&rejected.code));
                }
                let reasons = rejected.reasons.join("; ");
                for (index, part) in reasons_contain.iter().enumerate() {
                    if !rejected.reasons.iter().any(|reason| reason.contains(part)) {
                        self.contains(&path(&format!("reasons_contain[{index}]")), part, &reasons);
                    }
                }
            }
            (expected, outcome) => {
                let message = format!("expected {}, found {}", expected.as_str(), told(outcome));
                let found = outcome.map(|outcome| json!(outcome_name(outcome)));
                self.find(
                    &format!("expect.{}", expected.as_str()),
                    message,
                    Some(json!(expected.as_str())),
                    found,
                );
            }
        }
    }

    fn course(&mut self, course: &Course) {
        for (id, expected) in &self.case.expect.tasks {
            if let Some(task) = course.tasks.get(id) {
                self.task(id, expected, task);
            }
        }
        if let (Some(expected), Some(took)) = (self.case.expect.took, course.took) {
            self.took(expected, took);
        }
    }

    fn task(&mut self, id: &TaskId, expected: &ExpectedTask, found: &TaskCourse) {
        let path = |key: &str| format!("expect.tasks.{id}.{key}");
        if let Some(status) = expected.status {
            self.same(&path("status"), &status, Some(&found.status));
        }
        if let Some(attempts) = expected.attempts {
            let found = u32::try_from(found.attempts.len()).unwrap_or(u32::MAX);
            self.same(&path("attempts"), &attempts, Some(&found));
        }
        // Every attempt is given the same: what a task needs has ended before the first.
        match found.attempts.first() {
            Some(work) => self.value(&path("input"), &expected.input, &work.created.input),
            None => {
                let keys = [("input", &expected.input.exactly), ("input_contains", &expected.input.contains)];
                for (key, expected) in keys {
                    if let Some(expected) = expected {
                        let message = format!(
                            "expected {}, found that no agent was asked: the task was {}",
                            shown(expected),
                            found.status
                        );
                        self.find(&path(key), message, Some(expected.clone()), None);
                    }
                }
            }
        }
    }

    fn took(&mut self, expected: Took, took: TimeDelta) {
        let took = Span::from_millis(u64::try_from(took.num_milliseconds()).unwrap_or_default());
        let mut wrong = |key: &str, words: String, expected: Span| {
            let message = format!("expected {words}{expected}, found {took}");
            let (expected, found) = (json!(expected), json!(took));
            self.find(&format!("expect.took{key}"), message, Some(expected), Some(found));
        };
        match expected {
            Took::Exactly(span) if took != span => wrong("", String::new(), span),
            Took::Between(Some(least), _) if took < least => {
                wrong(".at_least", "at least ".to_owned(), least)
            }
            Took::Between(_, Some(most)) if took > most => wrong(".at_most", "at most ".to_owned(), most),
            Took::Exactly(_) | Took::Between(..) => {}
        }
    }

    /// The case does not say what becomes of an attempt: what else it expects cannot be told.
    fn unmocked(&mut self, work: &Work) {
        let task = &work.key.task;
        let attempt = work.key.attempt;
        let message = match self.case.mocks.get(task) {
            Some(Answers::InTurn(mocks)) => format!(
                "attempt {attempt} of task '{task}' is asked for, and its mock has {} answer{}: add one, or write a single \
                 answer, without a list, for every attempt",
                mocks.len(),
                if mocks.len() == 1 { "" } else { "s" }
            ),
            _ => format!(
                "task '{task}' is asked for and has no mock: add what '{}' answers, such as `{task}: {{output: …}}` or \
                 `{task}: {{error: some_code}}`, to `mocks` of the case or of the file; it is given {}",
                work.key.capability,
                shown(&work.created.input)
            ),
        };
        self.find(&format!("mocks.{task}"), message, None, None);
    }
}

/// Data in a message, on one line and not too long.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// How a run ended, and why.
fn told(outcome: Option<&RunOutcome>) -> String {
    match outcome {
        None => "no end".to_owned(),
        Some(RunOutcome::Completed(completed)) => format!("completed with {}", shown(&completed.output)),
        Some(RunOutcome::Failed(failed)) => {
            format!("failed ({}: {})", failed.error.code, failed.error.message)
        }
        Some(RunOutcome::Cancelled(cancelled)) => match &cancelled.reason {
            Some(reason) => format!("cancelled ({reason})"),
            None => "cancelled".to_owned(),
        },
        Some(RunOutcome::Rejected(rejected)) => {
            format!("rejected ({}: {})", rejected.code, rejected.reasons.join("; "))
        }
    }
}
