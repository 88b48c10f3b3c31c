use mesh_schemas::ErrorCode;
use serde_json::Value;

use super::Compiler;
use crate::schema::Schema;

impl Compiler<'_> {
    /// The schema of an output, if there is one; `None` if it is not sound.
    pub(super) fn schema(&mut self, path: &str, schema: Option<&Value>) -> Option<Option<Schema>> {
        let Some(schema) = schema else { return Some(None) };
        match Schema::compile(schema) {
            Ok(schema) => Some(Some(schema)),
            Err(problems) => {
                for (at, message) in problems {
                    let message = format!("not a valid JSON Schema (2020-12): {message}");
                    self.refuse(ErrorCode::InvalidSchema, &format!("{path}{at}"), message);
                }
                None
            }
        }
    }
}
