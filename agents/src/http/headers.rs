//! The headers of requests.

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::header::{CONNECTION, TRANSFER_ENCODING, USER_AGENT};
use mesh_schemas::percent_encode;

use super::HttpError;
use crate::runner::{Facts, NAMES};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("mesh-agents/", env!("CARGO_PKG_VERSION")));

/// The headers that every request has.
pub(super) fn common(given: &[(String, String)]) -> Result<HeaderMap, HttpError> {
    let mut theirs = HeaderMap::new();
    for (name, value) in given {
        let refuse = |reason: String| HttpError::Header { name: name.clone(), reason };
        let header = HeaderName::try_from(name.as_str()).map_err(|error| refuse(error.to_string()))?;
        if NAMES.iter().any(|(_, taken)| header == *taken) {
            return Err(refuse("it is set for every task: choose another name".to_owned()));
        }
        if [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(&header) {
            return Err(refuse("it belongs to the connection".to_owned()));
        }
        let mut value = HeaderValue::try_from(value.as_str()).map_err(|error| refuse(error.to_string()))?;
        value.set_sensitive(true);
        theirs.append(header, value);
    }
    for (header, value) in [(CONTENT_TYPE, JSON), (ACCEPT, JSON), (USER_AGENT, AGENT)] {
        theirs.entry(header).or_insert(value);
    }
    Ok(theirs)
}

/// Adds what there is to know of the task.
pub(super) fn tell(headers: &mut HeaderMap, facts: Facts) {
    for ((_, name), value) in NAMES.into_iter().zip(facts) {
        let Some(value) = value else { continue };
        // W3C Trace Context is ASCII already, and has spaces and quotes of its own.
        let value = if name.starts_with("trace") { value } else { percent_encode(&value) };
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &str, value: &str) -> Result<HeaderMap, HttpError> {
        common(&[(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn given_headers_go_before_the_usual_ones() {
        let headers = given("Content-Type", "application/x-json").expect("a header");
        assert_eq!(headers["content-type"], "application/x-json");
        assert_eq!(headers["accept"], "application/json");
        assert!(headers["user-agent"].to_str().expect("text").starts_with("mesh-agents/"));
    }

    #[test]
    fn headers_that_cannot_be_set_are_refused() {
        for (name, value) in
            [("a b", "x"), ("", "x"), ("x", "a\nb"), ("Mesh-Run-Id", "x"), ("content-length", "3")]
        {
            assert!(matches!(given(name, value), Err(HttpError::Header { .. })), "{name}: {value}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let headers = given("authorization", "Bearer hunter2").expect("a header");
        assert!(!format!("{headers:?}").contains("hunter2"));
    }

    #[test]
    fn a_task_is_told_in_headers() {
        let mut facts: Facts = std::array::from_fn(|_| None);
        facts[0] = Some("3.0af7".to_owned());
        facts[7] = Some("Müller & \"Co\"\n".to_owned());
        facts[12] = Some("vendor=a value".to_owned());
        let mut headers = HeaderMap::new();
        tell(&mut headers, facts);
        assert_eq!(headers["mesh-run-id"], "3.0af7");
        assert_eq!(headers["mesh-correlation-id"], "M%C3%BCller%20&%20%22Co%22%0A");
        assert_eq!(headers["tracestate"], "vendor=a value");
        assert_eq!(headers.len(), 3);
    }
}
