use std::collections::BTreeMap;

use mesh_schemas::payload::{SecretUse, TaskCreated, code};
use serde_json::Value;

use super::{Redactor, Secrets};
use crate::failure::TaskFailure;

impl Secrets {
    /// Puts the secrets that a task refers to into its input, and tells how to take them out of what is said of it.
    ///
    /// # Errors
    /// [`TaskFailure`] that is not retryable, if one is not there.
    pub(crate) async fn put_into(&self, task: &mut TaskCreated) -> Result<Redactor, TaskFailure> {
        if task.secrets.is_empty() || !self.is_somewhere() {
            return Ok(Redactor::default());
        }
        let (secrets, uses) = (self.clone(), task.secrets.clone());
        let found = tokio::task::spawn_blocking(move || secrets.all(&uses)).await;
        let found = found.unwrap_or_else(|died| Err(died.to_string()));
        let found = found.map_err(|error| TaskFailure::fatal(code::MISSING_SECRET, error))?;
        for SecretUse { at, name } in &task.secrets {
            let Some(Value::String(text)) = task.input.pointer_mut(at) else {
                let message =
                    format!("the task has the secret '{name}' at {at:?} of its input, where no text stands");
                return Err(TaskFailure::fatal(code::MALFORMED_TASK, message));
            };
            *text = text.replace(&SecretUse::placeholder(name), &found[name.as_str()]);
        }
        Ok(Redactor::new(&found))
    }

    fn all(&self, uses: &[SecretUse]) -> Result<BTreeMap<String, String>, String> {
        uses.iter().map(|SecretUse { name, .. }| Ok((name.to_string(), self.find(name)?))).collect()
    }
}
