use mesh_schemas::ErrorCode;
use mesh_schemas::definition::Span;
use mesh_schemas::document::{Content, Node, Object, Problem};
use mesh_schemas::payload::TaskError;
use serde_json::{Number, Value};

use super::read::value;

const MOCK: [&str; 5] = ["output", "error", "takes", "hangs", "unanswered"];
const ERROR: [&str; 4] = ["code", "message", "retryable", "retry_after"];
/// The message of an error whose case gives it none.
const MESSAGE: &str = "as the case has it";

/// What agents answer to the attempts of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Answers {
    /// To every attempt the same.
    Always(Mock),
    /// To one attempt after the other; there are no more attempts than that.
    InTurn(Vec<Mock>),
}

/// What becomes of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Mock {
    /// An agent answers after a time. If the task's timeout is over before, the agent fails with `timeout` then.
    Answer {
        /// From the time that the attempt is asked for.
        takes: Span,
        /// The output, or why there is none.
        result: Result<Value, TaskError>,
    },
    /// An agent takes it and does not get done: it fails with `timeout` when the task's timeout is over, and stays
    /// silent if the task has none.
    Hangs,
    /// No agent takes it, so no timeout of the task begins.
    Unanswered,
}

impl Answers {
    /// What becomes of an attempt, counted from 1.
    #[must_use]
    pub fn to(&self, attempt: u32) -> Option<&Mock> {
        match self {
            Self::Always(mock) => Some(mock),
            Self::InTurn(mocks) => mocks.get(usize::try_from(attempt).ok()?.checked_sub(1)?),
        }
    }
}

/// Reads what is answered for a task: an answer, or a list of them.
pub(super) fn read(node: &Node, path: &str, problems: &mut Vec<Problem>) -> Option<Answers> {
    let Content::List(items) = &node.content else {
        return mock(node, path, problems).map(Answers::Always);
    };
    if items.is_empty() {
        let message = "a list has an answer for each attempt, so at least one".to_owned();
        problems.push(Problem {
            code: ErrorCode::WrongValue,
            path: path.to_owned(),
            position: Some(node.at),
            message,
        });
    }
    let mocks = items.iter().enumerate();
    let mocks: Option<Vec<Mock>> =
        mocks.map(|(index, node)| mock(node, &format!("{path}[{index}]"), problems)).collect();
    mocks.map(Answers::InTurn)
}

fn mock(node: &Node, path: &str, problems: &mut Vec<Problem>) -> Option<Mock> {
    let mut fields = Object::new(node, path, &MOCK, problems)?;
    let given: Vec<&str> =
        ["output", "error", "hangs", "unanswered"].into_iter().filter(|key| fields.has(key)).collect();
    let output = value(&fields, "output");
    let hangs = fields.optional("hangs", yes);
    let unanswered = fields.optional("unanswered", yes);
    let takes = fields.optional("takes", Node::span);
    match given.as_slice() {
        [] => {
            fields
                .lacks("say what becomes of an attempt: output, error, 'hangs: true' or 'unanswered: true'");
            return None;
        }
        [_] => {}
        [_, second, ..] => {
            let message =
                format!("an attempt has one outcome, and '{}' is there too: leave one out", given[0]);
            fields.refuse(second, message);
            return None;
        }
    }
    if (hangs.is_some() || unanswered.is_some()) && fields.has("takes") {
        fields.refuse("takes", "what is never answered takes no time: leave it out");
    }
    let takes = takes.unwrap_or(Span::from_millis(0));
    if let Some(output) = output {
        return Some(Mock::Answer { takes, result: Ok(output) });
    }
    if hangs.is_some() {
        return Some(Mock::Hangs);
    }
    if unanswered.is_some() {
        return Some(Mock::Unanswered);
    }
    let error = fields.optional("error", Ok)?;
    let path = fields.path_of("error");
    self::error(error, &path, problems).map(|error| Mock::Answer { takes, result: Err(error) })
}

/// An error: its code alone, or an object.
fn error(node: &Node, path: &str, problems: &mut Vec<Problem>) -> Option<TaskError> {
    let of =
        |code: String| TaskError { code, message: MESSAGE.to_owned(), retryable: true, retry_after: None };
    if let Content::Text(code) = &node.content {
        return Some(of(code.clone()));
    }
    let mut fields = Object::new(node, path, &ERROR, problems)?;
    let code = fields.required("code", "name what went wrong, for programs", Node::text);
    let message = fields.optional("message", Node::text);
    let retryable = fields.optional("retryable", Node::boolean);
    let retry_after = fields.optional("retry_after", Node::span);
    let mut error = of(code?);
    error.message = message.unwrap_or(error.message);
    error.retryable = retryable.unwrap_or(error.retryable);
    error.retry_after = retry_after.map(|span| span.get().as_secs_f64());
    Some(error)
}

/// What is only ever said to be so.
fn yes(node: &Node) -> Result<(), String> {
    if node.boolean()? { Ok(()) } else { Err("write 'true', or leave the key out".to_owned()) }
}

/// A whole number from 0.
pub(super) fn whole(number: &Number) -> Option<u32> {
    number.as_u64().and_then(|number| u32::try_from(number).ok())
}
