//! What a part of a text says, as the kind of value that is wanted there. Errors are for people, without the place.

use std::fmt;
use std::str::FromStr;

use serde_json::Number;

use super::{Content, Node, nearest};
use crate::definition::{DurationError, Span};

impl Node {
    /// That this is not what was expected: `expected text, found a list`.
    #[must_use]
    pub fn unlike(&self, what: &str) -> String {
        format!("expected {what}, found {}", self.kind())
    }

    /// A text.
    ///
    /// # Errors
    /// If it is something else.
    pub fn text(&self) -> Result<String, String> {
        match &self.content {
            Content::Text(text) => Ok(text.clone()),
            Content::Bool(_) | Content::Number(_) => {
                Err(format!("{}: put it in quotes if it is meant as text", self.unlike("text")))
            }
            _ => Err(self.unlike("text")),
        }
    }

    /// A text that is read further, such as a name.
    ///
    /// # Errors
    /// If it is no text, or not one of that kind.
    pub fn parsed<T: FromStr<Err: fmt::Display>>(&self) -> Result<T, String> {
        self.text()?.parse().map_err(|error: T::Err| error.to_string())
    }

    /// A duration, which is a text with a unit.
    ///
    /// # Errors
    /// If it is none.
    pub fn span(&self) -> Result<Span, String> {
        match &self.content {
            Content::Text(text) => text.parse().map_err(|error: DurationError| error.to_string()),
            Content::Number(number) => {
                Err(format!("{number} is not a duration: add a unit, as in {number}s"))
            }
            _ => Err(self.unlike("a duration such as 30s")),
        }
    }

    /// A number that `read` takes; `what` says which ones that is.
    ///
    /// # Errors
    /// If it is another number, or none.
    pub fn number<T>(&self, what: &str, read: impl FnOnce(&Number) -> Option<T>) -> Result<T, String> {
        match &self.content {
            Content::Number(number) => read(number).ok_or_else(|| format!("expected {what}, found {number}")),
            _ => Err(self.unlike(what)),
        }
    }

    /// True or false.
    ///
    /// # Errors
    /// If it is something else.
    pub fn boolean(&self) -> Result<bool, String> {
        match &self.content {
            Content::Bool(value) => Ok(*value),
            _ => Err(self.unlike("true or false")),
        }
    }

    /// One of several words, with what each stands for.
    ///
    /// # Errors
    /// If it is none of them: the nearest, or all.
    pub fn one_of<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, String> {
        let text = self.text()?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return Ok(*value);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        Err(match nearest(&text, names.iter().copied()) {
            Some(near) => format!("unknown value '{text}': did you mean '{near}'?"),
            None => format!("unknown value '{text}': write one of {}", names.join(", ")),
        })
    }

    /// The items of a list.
    ///
    /// # Errors
    /// If it is no list.
    pub fn items(&self) -> Result<&[Self], String> {
        match &self.content {
            Content::List(items) => Ok(items),
            _ => Err(self.unlike("a list, such as [first, second]")),
        }
    }
}
