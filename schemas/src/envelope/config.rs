//! The extension `config` of requests.

use serde_json::{Map, Value};

use super::{Envelope, EnvelopeError};

/// Name of the extension: an object of JSON as text, as an extension cannot be an object.
const CONFIG: &str = "config";

impl Envelope {
    /// What a request puts in place of values of the workflow's `config`, if anything.
    ///
    /// # Errors
    /// [`EnvelopeError::NotCloudEvent`] if it is not the text of a JSON object.
    pub fn config(&self) -> Result<Option<Map<String, Value>>, EnvelopeError> {
        let Some(value) = self.extensions.get(CONFIG) else { return Ok(None) };
        let read = match value {
            Value::String(text) => serde_json::from_str(text).map_err(|error| error.to_string()),
            other => Err(format!("found {other}")),
        };
        read.map(Some).map_err(|error| {
            EnvelopeError::NotCloudEvent(format!("config is not the text of a JSON object: {error}"))
        })
    }

    /// Puts values in place of those of the workflow's `config`.
    pub fn set_config(&mut self, config: Option<&Map<String, Value>>) {
        match config {
            None => drop(self.extensions.remove(CONFIG)),
            Some(config) => {
                let text = plain(&Value::Object(config.clone()).to_string());
                self.extensions.insert(CONFIG.to_owned(), Value::String(text));
            }
        }
    }
}

/// The same JSON without control characters, which an attribute cannot have. They stand in its texts only.
fn plain(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() {
            plain.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(config: Value) -> Envelope {
        let mut event = Envelope::new("1", "/test", "workflow.requested", json!({}));
        event.extensions.insert(CONFIG.to_owned(), config);
        event
    }

    #[test]
    fn it_is_written_and_read() {
        let config = json!({"model": "a\u{7f}b\n", "limits": {"max": 1.5}});
        let mut event = Envelope::new("1", "/test", "workflow.requested", json!({}));
        assert_eq!(event.config(), Ok(None));
        event.set_config(config.as_object());
        let (headers, body) = event.encode().unwrap();
        let read = Envelope::decode(&headers, &body).unwrap();
        let read = read.envelope().unwrap();
        assert_eq!(read.config().unwrap().map(Value::Object), Some(config));
        event.set_config(None);
        assert_eq!(event.config(), Ok(None));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for wrong in [json!(7), json!("{"), json!("[1]"), json!("model=a")] {
            let error = event(wrong).config().unwrap_err().to_string();
            assert!(error.contains("config is not the text of a JSON object"), "{error}");
        }
    }
}
