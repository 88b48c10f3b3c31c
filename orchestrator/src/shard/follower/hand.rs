//! What is in hand, and how much it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mesh_core::Event;
use mesh_schemas::generate::catalogue;
use mesh_schemas::{RunId, StoredMessage, TraceContext};
use mesh_telemetry::{names, span};
use tracing::Span;

use crate::lease::Lease;
use crate::trace;

/// A delivery in hand, and how many bytes it has with what it refers to.
pub(super) struct Hand {
    pub(super) lease: Lease,
    pub(super) stored: StoredMessage,
    pub(super) weight: Weight,
}

impl Hand {
    /// The span of the event's processing, and the trace that it came with.
    pub(super) fn span(&self, run: Option<RunId>, consumer: &str) -> (Span, Option<TraceContext>) {
        let message = &self.stored.message;
        let hop = TraceContext::from_headers(&message.headers);
        let span = span::process(&self.stored, consumer, hop.as_ref());
        if !span.is_disabled() {
            span.record(names::DELIVERY, span::number(self.lease.delivered))
                .record(names::MESSAGING_MESSAGE_ID, &*message.subject)
                .record(names::CLOUDEVENTS_ID, &*message.subject)
                .record(names::CLOUDEVENTS_TYPE, catalogue::event_type(&message.subject));
            trace::record_subject(&span, &message.subject, run);
        }
        (span, hop)
    }
}

/// An event in hand.
pub(super) struct Held {
    pub(super) hand: Hand,
    pub(super) event: Event,
}

/// Bytes that are in hand until this is dropped.
pub(super) struct Weight {
    pub(super) bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Weight {
    /// So many bytes, beside `all` others.
    pub(super) fn new(bytes: usize, all: &Arc<AtomicUsize>) -> Self {
        let mut weight = Self { bytes: 0, all: Arc::clone(all) };
        weight.add(bytes);
        weight
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.all.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
