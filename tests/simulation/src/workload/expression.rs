use std::collections::BTreeSet;
use std::fmt;

use mesh_schemas::TaskId;
use serde_json::Value;

use super::operator::Operator;
use super::optional::Optional;
use super::scope::{Scope, Seen};

/// An expression of a definition, as a tree: what is written as text for the mesh is evaluated here without parsing.
///
/// Numbers are whole, and texts hold no quote and no backslash.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// Null, a truth value, a whole number or a text.
    Literal(Value),
    /// `input`
    Input,
    /// `result`, in the output of a task and in the condition to end a loop.
    Result,
    /// `item`, `index`, `key`, `iteration` or `previous`, in a loop.
    Local(Local),
    /// `run.<field>`
    Run(&'static str),
    /// `run.outcome`, in what is done finally.
    Outcome,
    /// `tasks.<id>.output`
    Output(TaskId),
    /// `tasks.<id>.status`
    Status(TaskId),
    /// `tasks.<id>.error`
    Error(TaskId),
    /// `tasks.<id>.iterations`
    Iterations(TaskId),
    /// `tasks.<id>.quality`
    Quality(TaskId),
    /// `x.<field>`
    Field(Box<Self>, &'static str),
    /// `has(x.<field>)`
    Has(Box<Self>, &'static str),
    /// `x.?a`, as the whole of some data.
    Maybe(Optional),
    /// `x.?a.orValue(y)`
    OrValue(Optional, Box<Self>),
    /// `x.?a.hasValue()`
    HasValue(Optional),
    /// `!x`
    Not(Box<Self>),
    /// `x && y`
    And(Box<Self>, Box<Self>),
    /// `x || y`
    Or(Box<Self>, Box<Self>),
    /// `x ? y : z`
    Choice(Box<Self>, Box<Self>, Box<Self>),
    /// `x + y` and the like.
    Binary(Operator, Box<Self>, Box<Self>),
    /// `x in [y, …]`
    In(Box<Self>, Vec<Self>),
    /// `string(x)`
    Text(Box<Self>),
    /// `size(x)`
    Size(Box<Self>),
}

/// An expression has no value: something is missing, is of the wrong kind, or is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoValue;

/// What a loop brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    /// An item of a list or an object.
    Item,
    /// Its place, from 0.
    Index,
    /// Its key, if it is one of an object.
    Key,
    /// The number of an iteration, from 1.
    Iteration,
    /// The output of the one before.
    Previous,
}

/// What stands around an expression: what it may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// The tasks that have ended, or may have.
    pub tasks: BTreeSet<TaskId>,
    /// Whether there is a loop over items.
    pub items: bool,
    /// Whether there is a loop that repeats.
    pub iterations: bool,
    /// Whether it is decided how the run ends.
    pub outcome: bool,
}

impl Expression {
    /// A field of an expression.
    #[must_use]
    pub fn field(self, field: &'static str) -> Self {
        Self::Field(Box::new(self), field)
    }

    /// A field of an expression, and something else where there is no such field.
    #[must_use]
    pub fn field_or(self, field: &'static str, otherwise: Self) -> Self {
        let there = Self::Has(Box::new(self.clone()), field);
        Self::Choice(Box::new(there), Box::new(self.field(field)), Box::new(otherwise))
    }

    /// An operator between two expressions.
    #[must_use]
    pub fn binary(operator: Operator, left: Self, right: Self) -> Self {
        Self::Binary(operator, Box::new(left), Box::new(right))
    }

    /// The expression as CEL, every part in brackets.
    #[must_use]
    pub fn to_cel(&self) -> String {
        self.to_string()
    }

    /// The value.
    ///
    /// # Errors
    /// [`NoValue`] where CEL has an error.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, NoValue> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::Input
            | Self::Result
            | Self::Local(_)
            | Self::Outcome
            | Self::Output(_)
            | Self::Status(_)
            | Self::Error(_)
            | Self::Iterations(_)
            | Self::Quality(_)
            | Self::Field(..) => self.look_up(scope)?.clone(),
            Self::Run(field) => scope.run.get(field).cloned().ok_or(NoValue)?,
            Self::Has(of, field) => match of.evaluate(scope)? {
                Value::Object(map) => map.contains_key(*field).into(),
                // What is null has no fields; what is neither null nor an object cannot be asked.
                Value::Null => false.into(),
                _ => return Err(NoValue),
            },
            Self::Maybe(optional) => optional.find(scope)?.unwrap_or_default(),
            Self::OrValue(optional, otherwise) => match optional.find(scope)? {
                Some(value) => value,
                None => otherwise.evaluate(scope)?,
            },
            Self::HasValue(optional) => optional.find(scope)?.is_some().into(),
            Self::Not(of) => (!of.truth(scope)?).into(),
            // A side that decides makes what is wrong with the other harmless.
            Self::And(left, right) => match (left.truth(scope), right.truth(scope)) {
                (Ok(false), _) | (_, Ok(false)) => false.into(),
                (left, right) => (left? && right?).into(),
            },
            Self::Or(left, right) => match (left.truth(scope), right.truth(scope)) {
                (Ok(true), _) | (_, Ok(true)) => true.into(),
                (left, right) => (left? || right?).into(),
            },
            Self::Choice(condition, yes, no) => {
                if condition.truth(scope)? {
                    yes.evaluate(scope)?
                } else {
                    no.evaluate(scope)?
                }
            }
            Self::Binary(operator, left, right) => {
                operator.apply(&left.evaluate(scope)?, &right.evaluate(scope)?)?
            }
            Self::In(item, list) => {
                let item = item.evaluate(scope)?;
                let list: Vec<_> = list.iter().map(|of| of.evaluate(scope)).collect::<Result<_, _>>()?;
                list.contains(&item).into()
            }
            Self::Text(of) => match of.evaluate(scope)? {
                Value::String(text) => text.into(),
                value @ (Value::Bool(_) | Value::Number(_)) => value.to_string().into(),
                _ => return Err(NoValue),
            },
            Self::Size(of) => match of.evaluate(scope)? {
                Value::String(text) => text.chars().count().into(),
                Value::Array(items) => items.len().into(),
                Value::Object(map) => map.len().into(),
                _ => return Err(NoValue),
            },
        })
    }

    /// The value of a path, without a copy of all that the path leads through.
    fn look_up<'a>(&self, scope: &Scope<'a>) -> Result<&'a Value, NoValue> {
        let seen = |task, part: fn(&Seen) -> &Value| scope.around.task(task).map_or(&Value::Null, part);
        match self {
            Self::Input => Ok(scope.input),
            Self::Result => Ok(scope.result),
            Self::Local(local) => Ok(local.look_up(scope)),
            Self::Outcome => Ok(scope.outcome),
            Self::Output(task) => Ok(seen(task, |seen| &seen.output)),
            Self::Status(task) => Ok(seen(task, |seen| &seen.status)),
            Self::Error(task) => Ok(seen(task, |seen| &seen.error)),
            Self::Iterations(task) => Ok(seen(task, |seen| &seen.iterations)),
            Self::Quality(task) => Ok(seen(task, |seen| &seen.quality)),
            Self::Field(of, field) => of.look_up(scope)?.get(field).ok_or(NoValue),
            _ => Err(NoValue),
        }
    }

    /// The value as a condition.
    ///
    /// # Errors
    /// [`NoValue`] if there is none, or it is neither true nor false.
    pub fn truth(&self, scope: &Scope<'_>) -> Result<bool, NoValue> {
        self.evaluate(scope)?.as_bool().ok_or(NoValue)
    }

    /// Whether all that it uses is there.
    #[must_use]
    pub fn is_seen(&self, sight: &Sight) -> bool {
        let itself = match self {
            Self::Output(task)
            | Self::Status(task)
            | Self::Error(task)
            | Self::Iterations(task)
            | Self::Quality(task) => sight.tasks.contains(task),
            Self::Outcome => sight.outcome,
            Self::Local(Local::Item | Local::Index | Local::Key) => sight.items,
            Self::Local(Local::Iteration | Local::Previous) => sight.iterations,
            _ => true,
        };
        itself && self.parts().into_iter().all(|part| part.is_seen(sight))
    }

    /// Whether it asks for anything of a task.
    #[must_use]
    pub fn mentions(&self, task: &TaskId) -> bool {
        match self {
            Self::Output(of)
            | Self::Status(of)
            | Self::Error(of)
            | Self::Iterations(of)
            | Self::Quality(of) => of == task,
            _ => self.parts().into_iter().any(|part| part.mentions(task)),
        }
    }

    /// The expressions that it is made of.
    fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Literal(_)
            | Self::Input
            | Self::Result
            | Self::Local(_)
            | Self::Run(_)
            | Self::Outcome
            | Self::Output(_)
            | Self::Status(_)
            | Self::Error(_)
            | Self::Iterations(_)
            | Self::Quality(_) => Vec::new(),
            Self::Field(of, _) | Self::Has(of, _) | Self::Not(of) | Self::Text(of) | Self::Size(of) => {
                vec![of]
            }
            Self::Maybe(optional) | Self::HasValue(optional) => vec![&optional.of],
            Self::OrValue(optional, otherwise) => vec![&optional.of, otherwise],
            Self::And(a, b) | Self::Or(a, b) | Self::Binary(_, a, b) => vec![a, b],
            Self::Choice(a, b, c) => vec![a, b, c],
            Self::In(item, list) => std::iter::once(&**item).chain(list).collect(),
        }
    }

    /// How many parts it has, itself included.
    #[must_use]
    pub fn size(&self) -> usize {
        1 + self.parts().into_iter().map(Self::size).sum::<usize>()
    }
}

impl Local {
    fn look_up<'a>(self, scope: &Scope<'a>) -> &'a Value {
        let (item, iteration) = (scope.around.item(), scope.around.iteration());
        match (self, item, iteration) {
            (Self::Item, Some((item, ..)), _) => item,
            (Self::Index, Some((_, index, _)), _) => index,
            (Self::Key, Some((.., key)), _) => key,
            (Self::Iteration, _, Some((number, _))) => number,
            (Self::Previous, _, Some((_, previous))) => previous,
            _ => &Value::Null,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Index => "index",
            Self::Key => "key",
            Self::Iteration => "iteration",
            Self::Previous => "previous",
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(Value::String(text)) => write!(f, "'{text}'"),
            Self::Literal(value) => write!(f, "{value}"),
            Self::Input => f.write_str("input"),
            Self::Result => f.write_str("result"),
            Self::Outcome => f.write_str("run.outcome"),
            Self::Run(field) => write!(f, "run.{field}"),
            Self::Local(local) => f.write_str(local.name()),
            Self::Output(task) => write!(f, "tasks.{task}.output"),
            Self::Status(task) => write!(f, "tasks.{task}.status"),
            Self::Error(task) => write!(f, "tasks.{task}.error"),
            Self::Iterations(task) => write!(f, "tasks.{task}.iterations"),
            Self::Quality(task) => write!(f, "tasks.{task}.quality"),
            Self::Field(of, field) => write!(f, "{of}.{field}"),
            Self::Has(of, field) => write!(f, "has({of}.{field})"),
            Self::Maybe(optional) => write!(f, "{optional}"),
            Self::OrValue(optional, otherwise) => write!(f, "{optional}.orValue({otherwise})"),
            Self::HasValue(optional) => write!(f, "{optional}.hasValue()"),
            // In brackets, because CEL's parsers leave `!!` out before anyone asks whether it stands before a bool.
            Self::Not(of) => write!(f, "(!{of})"),
            Self::And(left, right) => write!(f, "({left} && {right})"),
            Self::Or(left, right) => write!(f, "({left} || {right})"),
            Self::Choice(condition, yes, no) => write!(f, "({condition} ? {yes} : {no})"),
            Self::Binary(operator, left, right) => write!(f, "({left} {} {right})", operator.sign()),
            Self::In(item, list) => {
                let list: Vec<String> = list.iter().map(Self::to_string).collect();
                write!(f, "({item} in [{}])", list.join(", "))
            }
            Self::Text(of) => write!(f, "string({of})"),
            Self::Size(of) => write!(f, "size({of})"),
        }
    }
}
