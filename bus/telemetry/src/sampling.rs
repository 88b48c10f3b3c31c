//! Which traces are exported: those that the requester's sampler chose or, where the request belongs to no trace, a part
//! of them; and of the rest, each span that tells of an error.

use std::env;

use opentelemetry::trace::{Link, SpanContext, SpanKind, Status, TraceContextExt as _, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    SamplingDecision, SamplingResult, ShouldSample, Span, SpanData, SpanProcessor,
};
use std::time::Duration;

/// What `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` ask for, as the OpenTelemetry specification names it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sampling {
    /// Whether the sender of what a span is about has decided already, if there is one.
    honours_parent: bool,
    /// Which part of the other traces is sampled, from 0 to 1.
    ratio: f64,
}

impl Sampling {
    /// All traces, unless their senders said otherwise.
    const DEFAULT: Self = Self { honours_parent: true, ratio: 1.0 };

    /// As the environment says; and what is wrong with it, if something is.
    pub(crate) fn from_env() -> (Self, Option<String>) {
        let read = |name| env::var(name).ok().filter(|text| !text.is_empty());
        Self::read(read("OTEL_TRACES_SAMPLER").as_deref(), read("OTEL_TRACES_SAMPLER_ARG").as_deref())
    }

    fn read(sampler: Option<&str>, argument: Option<&str>) -> (Self, Option<String>) {
        let Some(sampler) = sampler else { return (Self::DEFAULT, None) };
        let (name, honours_parent) = match sampler.strip_prefix("parentbased_") {
            Some(name) => (name, true),
            None => (sampler, false),
        };
        let ratio = match name {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => match argument.map_or(Ok(1.0), str::parse::<f64>) {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
                _ => {
                    let argument = argument.unwrap_or_default();
                    let error = format!(
                        "OTEL_TRACES_SAMPLER_ARG is {argument:?}: write a number from 0 to 1; every trace is sampled"
                    );
                    return (Self { honours_parent, ratio: 1.0 }, Some(error));
                }
            },
            _ => {
                let error = format!(
                    "OTEL_TRACES_SAMPLER is {sampler:?}, which is not known here: use always_on, always_off or traceidratio, \
                     each with parentbased_ before it or not; every trace is sampled"
                );
                return (Self::DEFAULT, Some(error));
            }
        };
        (Self { honours_parent, ratio }, None)
    }

    /// Whether a span is exported, by what its parent's sampler said, if it has one, and by its trace.
    pub(crate) fn takes(self, parent: Option<bool>, trace: TraceId) -> bool {
        match parent {
            Some(sampled) if self.honours_parent => sampled,
            _ => part(trace) < self.ratio,
        }
    }
}

/// Where a trace stands among all, from 0 to 1: by the 56 bits of its id that are random (W3C Trace Context, level 2), so
/// that every process says the same of it.
fn part(trace: TraceId) -> f64 {
    /// 2⁵⁶.
    const ALL: f64 = (1_u64 << 56) as f64;
    let bytes = trace.to_bytes();
    let random = bytes[9..].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    random as f64 / ALL
}

impl ShouldSample for Sampling {
    /// What is not sampled is recorded all the same, as it is not known yet whether it will be an error.
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let parent = parent.map(|parent| parent.span().span_context().clone()).filter(SpanContext::is_valid);
        let sampled = self.takes(parent.as_ref().map(SpanContext::is_sampled), trace);
        let decision = if sampled { SamplingDecision::RecordAndSample } else { SamplingDecision::RecordOnly };
        let trace_state = parent.map_or(TraceState::NONE, |parent| parent.trace_state().clone());
        SamplingResult { decision, attributes: Vec::new(), trace_state }
    }
}

/// Passes errors on as if their traces were sampled.
#[derive(Debug)]
pub(crate) struct KeepErrors<P>(pub(crate) P);

impl<P: SpanProcessor> SpanProcessor for KeepErrors<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.0.on_start(span, context);
    }

    fn on_end(&self, mut span: SpanData) {
        let own = &span.span_context;
        if !own.is_sampled() {
            if !matches!(span.status, Status::Error { .. }) {
                return;
            }
            let (flags, state) = (own.trace_flags().with_sampled(true), own.trace_state().clone());
            span.span_context =
                SpanContext::new(own.trace_id(), own.span_id(), flags, own.is_remote(), state);
        }
        self.0.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(random: u64) -> TraceId {
        TraceId::from(0x8000_0000_0000_5000_8000_0000_0000_0000 | u128::from(random))
    }

    #[test]
    fn the_sampler_is_the_one_that_the_environment_names() {
        let read = |sampler, argument| Sampling::read(sampler, argument).0;
        assert_eq!(read(None, Some("0.1")), Sampling::DEFAULT);
        assert_eq!(read(Some("always_off"), None), Sampling { honours_parent: false, ratio: 0.0 });
        let tenth = Sampling { honours_parent: true, ratio: 0.1 };
        assert_eq!(read(Some("parentbased_traceidratio"), Some("0.1")), tenth);
        for (sampler, argument) in
            [("xray", None), ("traceidratio", Some("2")), ("traceidratio", Some("ten"))]
        {
            let (sampling, error) = Sampling::read(Some(sampler), argument);
            assert!(sampling.ratio == 1.0 && error.is_some_and(|error| error.contains("every trace")));
        }
    }

    #[test]
    fn a_parent_decides_and_else_the_trace_alone() {
        let half = Sampling { honours_parent: true, ratio: 0.5 };
        let (low, high) = (trace(1 << 54), trace(3 << 54));
        assert!(half.takes(None, low) && !half.takes(None, high));
        assert!(half.takes(Some(true), high) && !half.takes(Some(false), low));
        let stubborn = Sampling { honours_parent: false, ratio: 0.5 };
        assert!(!stubborn.takes(Some(true), high) && stubborn.takes(Some(false), low));
    }

    #[test]
    fn about_as_many_traces_are_taken_as_was_asked_for() {
        let tenth = Sampling { honours_parent: true, ratio: 0.1 };
        let taken = (0..1000_u64).filter(|number| {
            let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8;
            tenth.takes(None, trace(random))
        });
        assert!((80..120).contains(&taken.count()));
    }
}
