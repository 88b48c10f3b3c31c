use std::collections::BTreeMap;

use mesh_schemas::TaskId;
use serde_json::Value;

use super::expression::{Expression, NoValue, Sight};
use super::scope::Scope;

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
            Self::Object(map) => {
                let mut whole = serde_json::Map::new();
                for (key, value) in map {
                    // A key whose whole value is not there is left out.
                    let value = match value {
                        Self::Whole(Expression::Maybe(optional)) => optional.find(scope)?,
                        value => Some(value.render(scope)?),
                    };
                    whole.extend(value.map(|value| (key.clone(), value)));
                }
                whole.into()
            }
        })
    }

    /// Whether all that its expressions use is there.
    #[must_use]
    pub fn is_seen(&self, sight: &Sight) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Whole(expression) => expression.is_seen(sight),
            Self::Mixed(fragments) => fragments.iter().all(|fragment| match fragment {
                Fragment::Text(_) => true,
                Fragment::Expression(expression) => expression.is_seen(sight),
            }),
            Self::List(items) => items.iter().all(|item| item.is_seen(sight)),
            Self::Object(map) => map.values().all(|value| value.is_seen(sight)),
        }
    }

    /// Whether an expression in it asks for anything of a task.
    #[must_use]
    pub fn mentions(&self, task: &TaskId) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Whole(expression) => expression.mentions(task),
            Self::Mixed(fragments) => fragments.iter().any(|fragment| match fragment {
                Fragment::Text(_) => false,
                Fragment::Expression(expression) => expression.mentions(task),
            }),
            Self::List(items) => items.iter().any(|item| item.mentions(task)),
            Self::Object(map) => map.values().any(|value| value.mentions(task)),
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
