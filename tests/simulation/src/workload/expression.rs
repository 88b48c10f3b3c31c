use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mesh_schemas::TaskId;
use serde_json::Value;

/// An expression of a definition, as a tree: what is written as text for the mesh is evaluated here without parsing.
///
/// Numbers are whole, and texts hold no quote and no backslash.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// Null, a truth value, a whole number or a text.
    Literal(Value),
    /// `input`
    Input,
    /// `result`, in the output of a task.
    Result,
    /// `run.<field>`
    Run(&'static str),
    /// `tasks.<id>.output`
    Output(TaskId),
    /// `x.<field>`
    Field(Box<Self>, &'static str),
    /// `has(x.<field>)`
    Has(Box<Self>, &'static str),
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

/// An operator whose two sides are always evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of arithmetic")]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// An expression has no value: something is missing, is of the wrong kind, or is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoValue;

/// What an expression can see.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Input of the run.
    pub input: &'a Value,
    /// Outputs of tasks that have ended; null for those that are not here.
    pub outputs: &'a BTreeMap<TaskId, Value>,
    /// `run`, an object.
    pub run: &'a Value,
    /// What the agent returned, in the output of a task.
    pub result: &'a Value,
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
            Self::Input | Self::Result | Self::Output(_) | Self::Field(..) => self.look_up(scope)?.clone(),
            Self::Run(field) => scope.run.get(field).cloned().ok_or(NoValue)?,
            Self::Has(of, field) => match of.evaluate(scope)? {
                Value::Object(map) => map.contains_key(*field).into(),
                // What is null has no fields; what is neither null nor an object cannot be asked.
                Value::Null => false.into(),
                _ => return Err(NoValue),
            },
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
        match self {
            Self::Input => Ok(scope.input),
            Self::Result => Ok(scope.result),
            Self::Output(task) => Ok(scope.outputs.get(task).unwrap_or(&Value::Null)),
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

    /// Adds the tasks whose outputs are used.
    pub fn uses(&self, tasks: &mut BTreeSet<TaskId>) {
        if let Self::Output(task) = self {
            tasks.insert(task.clone());
        }
        for part in self.parts() {
            part.uses(tasks);
        }
    }

    /// The expressions that it is made of.
    fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Literal(_) | Self::Input | Self::Result | Self::Run(_) | Self::Output(_) => Vec::new(),
            Self::Field(of, _) | Self::Has(of, _) | Self::Not(of) | Self::Text(of) | Self::Size(of) => {
                vec![of]
            }
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

impl Operator {
    fn apply(self, left: &Value, right: &Value) -> Result<Value, NoValue> {
        match self {
            Self::Equal => return Ok((left == right).into()),
            Self::Unequal => return Ok((left != right).into()),
            _ => {}
        }
        if let (Some(a), Some(b)) = (left.as_i64(), right.as_i64()) {
            return match self {
                Self::Add => a.checked_add(b).map(Value::from),
                Self::Subtract => a.checked_sub(b).map(Value::from),
                Self::Multiply => a.checked_mul(b).map(Value::from),
                Self::Divide => a.checked_div(b).map(Value::from),
                Self::Remainder => a.checked_rem(b).map(Value::from),
                _ => self.compare(&a, &b),
            }
            .ok_or(NoValue);
        }
        match (left, right) {
            (Value::String(a), Value::String(b)) if self == Self::Add => Ok(format!("{a}{b}").into()),
            (Value::Array(a), Value::Array(b)) if self == Self::Add => Ok([a.as_slice(), b].concat().into()),
            (Value::String(a), Value::String(b)) => self.compare(a, b).ok_or(NoValue),
            (Value::Bool(a), Value::Bool(b)) => self.compare(a, b).ok_or(NoValue),
            _ => Err(NoValue),
        }
    }

    fn compare<T: Ord>(self, a: &T, b: &T) -> Option<Value> {
        Some(Value::Bool(match self {
            Self::Less => a < b,
            Self::AtMost => a <= b,
            Self::Greater => a > b,
            Self::AtLeast => a >= b,
            _ => return None,
        }))
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
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
            Self::Run(field) => write!(f, "run.{field}"),
            Self::Output(task) => write!(f, "tasks.{task}.output"),
            Self::Field(of, field) => write!(f, "{of}.{field}"),
            Self::Has(of, field) => write!(f, "has({of}.{field})"),
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
