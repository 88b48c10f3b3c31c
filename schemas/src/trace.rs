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

    /// Takes a well-formed `traceparent`; anything else is no context, as the recommendation says.
    #[must_use]
    pub fn new(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let fields: Vec<&str> = traceparent.split('-').collect();
        let hex = |text: &str, len: usize| {
            text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let nonzero = |text: &str| text.bytes().any(|b| b != b'0');
        let valid = match fields.as_slice() {
            [version, trace, span, flags, rest @ ..] => {
                hex(version, 2)
                    && *version != "ff"
                    && (rest.is_empty() || *version != "00")
                    && hex(trace, 32)
                    && nonzero(trace)
                    && hex(span, 16)
                    && nonzero(span)
                    && hex(flags, 2)
            }
            _ => false,
        };
        valid.then(|| Self {
            traceparent: traceparent.to_owned(),
            tracestate: tracestate.filter(|state| !state.is_empty()).map(ToOwned::to_owned),
        })
    }

    /// The context of the hop that sent a message.
    #[must_use]
    pub fn from_headers(headers: &Headers) -> Option<Self> {
        Self::new(headers.get(Self::TRACEPARENT)?, headers.get(Self::TRACESTATE))
    }

    /// Writes the context of this hop.
    pub fn write(&self, headers: &mut Headers) {
        headers.set(Self::TRACEPARENT, &self.traceparent);
        if let Some(state) = &self.tracestate {
            headers.set(Self::TRACESTATE, state);
        }
    }
}
