//! Ids of spans: drawn, but where somebody else must be able to work them out.

use std::cell::Cell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

thread_local! {
    /// What the next span that begins on this thread is to be called.
    static NEXT: Cell<(Option<TraceId>, Option<SpanId>)> = const { Cell::new((None, None)) };
}

/// Gives the span that begins next on this thread the id that is asked for by [`named`].
#[derive(Debug, Default)]
pub(crate) struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        NEXT.get().0.unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        NEXT.get().1.unwrap_or_else(|| self.0.new_span_id())
    }
}

/// Begins a span under these ids; its parent's trace goes before the one that is named here.
pub(crate) fn named<T>(trace: Option<TraceId>, span: Option<SpanId>, begin: impl FnOnce() -> T) -> T {
    /// So that a panic names no other span.
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            NEXT.set((None, None));
        }
    }
    NEXT.set((trace, span));
    let _reset = Reset;
    begin()
}
