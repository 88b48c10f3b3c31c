use super::compile::Compiled;
use super::error::{ExpressionError, Fault};
use super::evaluate::Meter;
use super::references::References;
use super::scan::{Piece, pieces};
use super::scope::Scope;
use super::template::failed;
use super::value::Val;

/// A compiled `when`: an expression that gives a bool.
#[derive(Debug)]
pub struct Condition(Compiled);

impl Condition {
    /// Compiles an expression, with or without `${…}` around it.
    ///
    /// # Errors
    /// All that is wrong with it, in words.
    pub fn compile(text: &str) -> Result<Self, Vec<String>> {
        let trimmed = text.trim();
        if !trimmed.starts_with("${") {
            return Self::of(trimmed);
        }
        match pieces(trimmed).map_err(|message| vec![message])?.as_slice() {
            [Piece::Expression(expression)] => Self::of(expression),
            _ => Err(vec![
                "a condition is one expression: write ${…} around the whole, or leave it out".to_owned(),
            ]),
        }
    }

    fn of(expression: &str) -> Result<Self, Vec<String>> {
        let compiled = Compiled::new(expression)?;
        if compiled.is_optional() {
            let message = "a condition must give a bool, and this gives an optional: add .orValue(false)";
            return Err(vec![compiled.refused(message)]);
        }
        Ok(Self(compiled))
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// [`ExpressionError`] if it cannot be evaluated or does not give a bool.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<bool, ExpressionError> {
        let value = match self.0.evaluate(scope, &mut Meter::default()) {
            Ok(Val::Bool(value)) => Ok(value),
            Ok(other) => Fault::error(format!("a condition must give a bool, not {}", other.described())),
            Err(fault) => Err(fault),
        };
        value.map_err(|fault| failed(fault, "", &self.0.text))
    }

    /// What the condition uses.
    #[must_use]
    pub fn references(&self) -> &References {
        &self.0.references
    }
}
