//! What an output must be.

use mesh_schemas::payload::code;
use serde_json::Value;

use crate::run::state::{Failure, Outcome};
use crate::schema::Schema;

/// An output, or the failure that it is if it does not follow its schema, which stands at a path.
pub(super) fn checked(schema: Option<&Schema>, output: Value, at: &str) -> Outcome {
    match schema.and_then(|schema| refused(schema, &output, at)) {
        Some(failure) => Outcome::Failed(failure),
        None => Outcome::Done(output),
    }
}

/// Why an output does not follow its schema, if so.
pub(super) fn refused(schema: &Schema, output: &Value, at: &str) -> Option<Failure> {
    let refusal = schema.refusal(output)?;
    let message = format!("the output does not follow {at}: {refusal}");
    Some(Failure { task: None, code: code::INVALID_OUTPUT.to_owned(), message, retryable: false })
}
