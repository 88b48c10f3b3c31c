//! JSON Schema (2020-12) of outputs.
//!
//! Whether an output follows its schema decides how a run goes on, so the rules are kept here, as those of expressions are:
//! the same on every orchestrator and for as long as the run lives. A check neither fetches anything nor takes longer than
//! some steps. What there is: all keywords but `unevaluatedItems`, `unevaluatedProperties` and dynamic references;
//! references within the schema; patterns as `matches` takes them; `format` says something to people only, as in the
//! standard.

mod check;
mod compile;
mod keyword;
mod number;
mod words;

#[cfg(test)]
mod tests;

use serde_json::Value;

use keyword::Rules;

/// A schema, ready to be checked with.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The schema itself first, then those in it.
    rules: Vec<Rules>,
}

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// All that is wrong with it: each with its path, such as `.properties.score`, and in words.
    pub(crate) fn compile(schema: &Value) -> Result<Self, Vec<(String, String)>> {
        compile::schema(schema).map(|rules| Self { rules })
    }

    /// Why a value does not follow the schema, in words: each place with what was expected there. `None` if it does.
    pub(crate) fn refusal(&self, value: &Value) -> Option<String> {
        check::refusal(&self.rules, value)
    }
}
