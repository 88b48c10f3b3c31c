use std::fmt;

use serde_json::Value;

use super::expression::{Expression, NoValue};
use super::scope::Scope;

/// A path that may lead to nothing: `x.?a.?b`.
#[derive(Debug, Clone, PartialEq)]
pub struct Optional {
    /// Where it begins; that must be there.
    pub of: Box<Expression>,
    /// Its fields. Behind one that is not there is nothing, and no more behind null.
    pub fields: Vec<&'static str>,
}

impl Optional {
    /// What it leads to, if it does.
    ///
    /// # Errors
    /// [`NoValue`] if something on the way has no fields at all.
    pub fn find(&self, scope: &Scope<'_>) -> Result<Option<Value>, NoValue> {
        let mut found = self.of.evaluate(scope)?;
        for field in &self.fields {
            found = match found {
                Value::Object(mut map) => match map.remove(*field) {
                    Some(value) => value,
                    None => return Ok(None),
                },
                Value::Null => return Ok(None),
                _ => return Err(NoValue),
            };
        }
        Ok(Some(found))
    }
}

impl fmt::Display for Optional {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.of)?;
        self.fields.iter().try_for_each(|field| write!(f, ".?{field}"))
    }
}
