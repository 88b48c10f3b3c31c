use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Shortest text that is looked for: a shorter one stands in harmless text by chance.
const SHORTEST: usize = 4;
/// Shortest line of a secret of several lines that is looked for by itself.
const SHORTEST_LINE: usize = 16;

/// Takes secrets out of what is said.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    /// What is looked for, the longest first, with what stands in its place.
    patterns: Vec<(String, String)>,
}

impl Redactor {
    /// For these secrets, by their names.
    pub(super) fn new(secrets: &BTreeMap<String, String>) -> Self {
        let mut patterns = Vec::new();
        for (name, value) in secrets {
            let mark = format!("[secret {name}]");
            let quoted = Value::from(value.as_str()).to_string();
            let escaped = quoted.trim_matches('"').to_owned();
            let lines = value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
            let texts = [value.clone(), value.trim().to_owned(), escaped];
            patterns
                .extend(texts.into_iter().chain(lines.map(str::to_owned)).map(|text| (text, mark.clone())));
        }
        patterns.retain(|(text, _)| text.len() >= SHORTEST);
        patterns.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        patterns.dedup_by(|(a, _), (b, _)| a == b);
        Self { patterns }
    }

    /// A text without secrets.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (secret, mark) in &self.patterns {
            if text.contains(secret) {
                text = text.replace(secret, mark);
            }
        }
        text
    }

    /// Data without secrets.
    pub(crate) fn value(&self, value: Value) -> Value {
        if self.patterns.is_empty() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.value(item)).collect()),
            Value::Object(map) => {
                let entries = map.into_iter().map(|(key, value)| (self.text(&key), self.value(value)));
                Value::Object(entries.collect::<Map<_, _>>())
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redactor(secrets: &[(&str, &str)]) -> Redactor {
        let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Redactor::new(&secrets.collect())
    }

    #[test]
    fn secrets_are_taken_out_of_texts_and_data() {
        let redactor = redactor(&[("key", "hunter2"), ("longer", "hunter2-and-more"), ("short", "abc")]);
        assert_eq!(
            redactor.text("with hunter2, hunter2-and-more, abc"),
            "with [secret key], [secret longer], abc"
        );
        assert_eq!(
            redactor.value(json!({"a": ["xhunter2x", 1], "hunter2": null})),
            json!({"a": ["x[secret key]x", 1], "[secret key]": null})
        );
    }

    #[test]
    fn they_are_found_as_json_and_line_by_line_too() {
        let pem = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w\n-----END KEY-----";
        let redactor = redactor(&[("quoted", "pa\"ss\\word"), ("pem", pem)]);
        assert_eq!(redactor.text(r#"{"p": "pa\"ss\\word"}"#), r#"{"p": "[secret quoted]"}"#);
        assert_eq!(redactor.text("line MIIEvQIBADANBgkqhkiG9w of it"), "line [secret pem] of it");
        assert_eq!(redactor.text(pem), "[secret pem]");
    }
}
