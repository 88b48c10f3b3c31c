//! W3C Trace Context as it travels in headers and in the envelope.

use crate::message::Headers;

/// `traceparent` and `tracestate` of the W3C Trace Context recommendation, uninterpreted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// `00-<trace id>-<span id>-<flags>`.
    pub traceparent: String,
    /// Vendor data that goes with it.
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// Name of the header and of the CloudEvents extension.
    pub const TRACEPARENT: &str = "traceparent";
    /// Name of the header and of the CloudEvents extension.
    pub const TRACESTATE: &str = "tracestate";

    /// Takes a well-formed `traceparent`; anything else is no context, as the recommendation says. A `tracestate`
    /// that no header can carry is dropped alone.
    #[must_use]
    pub fn new(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let tracestate = tracestate.filter(|state| !state.is_empty() && state.bytes().all(printable));
        is_traceparent(traceparent).then(|| Self {
            traceparent: traceparent.to_owned(),
            tracestate: tracestate.map(ToOwned::to_owned),
        })
    }

    /// The context of the hop that sent a message.
    #[must_use]
    pub fn from_headers(headers: &Headers) -> Option<Self> {
        Self::new(headers.get(Self::TRACEPARENT)?, headers.get(Self::TRACESTATE))
    }

    /// Writes the context of this hop.
    pub fn write(&self, headers: &mut Headers) {
        headers.set(Self::TRACEPARENT, self.traceparent.clone());
        if let Some(state) = &self.tracestate {
            headers.set(Self::TRACESTATE, state.clone());
        }
    }
}

fn is_traceparent(text: &str) -> bool {
    let mut fields = text.splitn(5, '-');
    let mut field = || fields.next().unwrap_or_default();
    let (version, trace, span, flags) = (field(), field(), field(), field());
    // Only versions after 00 may have more fields, of which nothing is known but that they are printable.
    let rest_allowed = fields.next().is_none_or(|_| version != "00");
    is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && is_not_zero(trace)
        && is_hex(span, 16)
        && is_not_zero(span)
        && is_hex(flags, 2)
        && rest_allowed
        && text.bytes().all(printable)
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_not_zero(text: &str) -> bool {
    text.bytes().any(|b| b != b'0')
}

/// What may stand in a header value, the tab apart.
fn printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

#[cfg(test)]
mod tests;
