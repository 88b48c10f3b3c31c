//! What can be sent at all.

use mesh_schemas::Message;

use crate::error::{BusError, PublishError};

/// Largest message, headers included, in bytes: as NATS has it unless it is told otherwise.
pub(super) const MAX_PAYLOAD: usize = 1024 * 1024;
/// What NATS puts before and after the headers of a message.
const HEADER_FRAME: usize = "NATS/1.0\r\n\r\n".len();
/// What NATS puts around one header.
const HEADER_LINE: usize = ": \r\n".len();

/// Why a message cannot be sent.
pub(super) enum Unsendable {
    Invalid(String),
    TooLarge(String),
}

impl Unsendable {
    /// As the publisher is told.
    pub(super) fn for_publisher(self) -> PublishError {
        match self {
            Self::Invalid(error) => PublishError::Refused(error),
            Self::TooLarge(error) => PublishError::TooLarge(error),
        }
    }

    /// As the caller of another operation is told.
    pub(super) fn during(self, operation: String) -> BusError {
        let (Self::Invalid(error) | Self::TooLarge(error)) = self;
        BusError::Refused { operation, error }
    }
}

/// Whether a message can be sent, wherever it is to go.
pub(super) fn check(message: &Message) -> Result<(), Unsendable> {
    let Message { subject, headers, .. } = message;
    if !is_subject(subject) {
        return Err(Unsendable::Invalid(format!("{subject:?} is no subject")));
    }
    for (name, value) in headers.iter() {
        let is_name = name.bytes().all(|byte| (33..=126).contains(&byte) && byte != b':');
        if !is_name || value.contains(['\r', '\n']) {
            return Err(Unsendable::Invalid(format!(
                "header {name:?} has a character that cannot be carried"
            )));
        }
    }
    match size(message) {
        size if size > MAX_PAYLOAD => {
            Err(Unsendable::TooLarge(format!("{size} bytes, and at most {MAX_PAYLOAD} are allowed")))
        }
        _ => Ok(()),
    }
}

/// Whether a text can be a subject, or a filter of subjects.
pub(super) fn is_subject(text: &str) -> bool {
    text.split('.').all(|token| !token.is_empty() && !token.contains(char::is_whitespace))
}

/// Bytes of headers and body, as NATS counts them.
pub(super) fn size(message: &Message) -> usize {
    let lines: usize =
        message.headers.iter().map(|(name, value)| name.len() + value.len() + HEADER_LINE).sum();
    message.payload.len() + if lines > 0 { lines + HEADER_FRAME } else { 0 }
}
