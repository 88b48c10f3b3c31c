//! A message as NATS carries it: subject, headers, bytes.

use std::borrow::Cow;

use bytes::Bytes;
use chrono::{DateTime, Utc};

/// Name of the header that tells how a payload is to be read.
pub const CONTENT_TYPE: &str = "content-type";

/// Headers of a message, in order; names are compared without case, as CloudEvents asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Text, Text)>);

/// Most names, and some values, are always the same.
type Text = Cow<'static, str>;

impl Headers {
    /// No headers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The first value of the header of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// Sets a header, in place of every one of that name.
    pub fn set(&mut self, name: impl Into<Text>, value: impl Into<Text>) {
        let name = name.into();
        self.0.retain(|(key, _)| !key.eq_ignore_ascii_case(&name));
        self.0.push((name, value.into()));
    }

    /// The same headers with one more.
    #[must_use]
    pub fn with(mut self, name: impl Into<Text>, value: impl Into<Text>) -> Self {
        self.set(name, value);
        self
    }

    /// Adds a value without looking for others of that name.
    pub fn append(&mut self, name: impl Into<Text>, value: impl Into<Text>) {
        self.0.push((name.into(), value.into()));
    }

    /// Every header in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Puts them in the order of their names; values of one name stay in order.
    pub fn sort(&mut self) {
        self.0.sort_by(|(one, _), (other, _)| one.cmp(other));
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A message to be published, or one that was received outside a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The NATS subject, namespace included.
    pub subject: String,
    /// The headers.
    pub headers: Headers,
    /// The body.
    pub payload: Bytes,
}

/// A message with its place in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// The message.
    pub message: Message,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the server stored it.
    pub time: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::Headers;

    #[test]
    fn names_are_compared_without_case() {
        let mut headers = Headers::new().with("Content-Type", "a");
        headers.append("content-type", "b");
        assert_eq!(headers.get("CONTENT-TYPE"), Some("a"));
        headers.set("CONTENT-type", "c");
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("CONTENT-type", "c")]);
        assert_eq!(headers.get("other"), None);
    }
}
