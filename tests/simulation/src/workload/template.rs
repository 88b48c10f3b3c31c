use std::collections::{BTreeMap, BTreeSet};

use mesh_schemas::TaskId;
use serde_json::Value;

use super::expression::{Expression, NoValue, Scope};

/// Data with expressions in its strings: a task's `with` or `output`, or the output of a workflow.
#[derive(Debug, Clone, PartialEq)]
pub enum Template {
    /// Data without expressions.
    Plain(Value),
    /// A string that is one expression and keeps the type of its value.
    Whole(Expression),
    /// A string with expressions in it.
    Mixed(Vec<Fragment>),
    /// A list.
    List(Vec<Self>),
    /// An object.
    Object(BTreeMap<String, Self>),
}

/// A part of a string. Text holds a `$` only in `${`.
#[derive(Debug, Clone, PartialEq)]
pub enum Fragment {
    /// Taken as it is.
    Text(String),
    /// Replaced by its value.
    Expression(Expression),
}

impl Template {
    /// How the template stands in a definition.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Plain(value) => escaped(value),
            Self::Whole(expression) => Value::String(format!("${{{expression}}}")),
            Self::Mixed(fragments) => fragments
                .iter()
                .map(|fragment| match fragment {
                    Fragment::Text(text) => escape(text),
                    Fragment::Expression(expression) => format!("${{{expression}}}"),
                })
                .collect::<String>()
                .into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Object(map) => map.iter().map(|(key, value)| (key.clone(), value.to_json())).collect(),
        }
    }

    /// The data with each expression replaced by its value. In a text, what is no text stands as JSON.
    ///
    /// # Errors
    /// [`NoValue`] if one of the expressions has none.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Value, NoValue> {
        Ok(match self {
            Self::Plain(value) => value.clone(),
            Self::Whole(expression) => expression.evaluate(scope)?,
            Self::Mixed(fragments) => {
                let mut whole = String::new();
                for fragment in fragments {
                    match fragment {
                        Fragment::Text(text) => whole.push_str(text),
                        Fragment::Expression(expression) => match expression.evaluate(scope)? {
                            Value::String(text) => whole.push_str(&text),
                            other => whole.push_str(&other.to_string()),
                        },
                    }
                }
                whole.into()
            }
            Self::List(items) => items.iter().map(|item| item.render(scope)).collect::<Result<_, _>>()?,
            Self::Object(map) => map
                .iter()
                .map(|(key, value)| Ok((key.clone(), value.render(scope)?)))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Adds the tasks whose outputs are used.
    pub fn uses(&self, tasks: &mut BTreeSet<TaskId>) {
        match self {
            Self::Plain(_) => {}
            Self::Whole(expression) => expression.uses(tasks),
            Self::Mixed(fragments) => {
                for fragment in fragments {
                    if let Fragment::Expression(expression) = fragment {
                        expression.uses(tasks);
                    }
                }
            }
            Self::List(items) => items.iter().for_each(|item| item.uses(tasks)),
            Self::Object(map) => map.values().for_each(|value| value.uses(tasks)),
        }
    }

    /// How many parts it has, itself included.
    #[must_use]
    pub fn size(&self) -> usize {
        1 + match self {
            Self::Plain(_) => 0,
            Self::Whole(expression) => expression.size(),
            Self::Mixed(fragments) => fragments
                .iter()
                .map(|fragment| match fragment {
                    Fragment::Text(_) => 1,
                    Fragment::Expression(expression) => expression.size(),
                })
                .sum(),
            Self::List(items) => items.iter().map(Self::size).sum(),
            Self::Object(map) => map.values().map(Self::size).sum(),
        }
    }
}

/// A literal `${` is written `$${`.
fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) => escape(text).into(),
        Value::Array(items) => items.iter().map(escaped).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), escaped(value))).collect(),
        other => other.clone(),
    }
}
