//! Sends spans to a collector by OTLP, HTTP with protobuf bodies.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter as Otlp, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter,
};

use crate::ids::Ids;
use crate::sampling::{KeepErrors, Sampling};

/// Value that the SDK gives `service.name` when the environment names no service.
const UNNAMED_SERVICE: &str = "unknown_service";

/// How long a span waits for others to be sent with, unless `OTEL_BSP_SCHEDULE_DELAY` says otherwise: short enough to watch a
/// run under way.
const DELAY: Duration = Duration::from_secs(1);

/// A provider that sends spans, in batches and from a thread of its own, to where the environment says.
///
/// # Errors
/// [`ExporterBuildError`] if an `OTEL_EXPORTER_OTLP_…` variable has a value that cannot be used.
pub(crate) fn provider(service: &str, sampling: Sampling) -> Result<SdkTracerProvider, ExporterBuildError> {
    let otlp = Otlp::builder().with_http().with_protocol(Protocol::HttpBinary).build()?;
    let exporter = Reporting { otlp, taking: Taking::new("spans", "they are lost until it does") };
    let mut batches = BatchConfigBuilder::default();
    if env::var_os("OTEL_BSP_SCHEDULE_DELAY").is_none() {
        batches = batches.with_scheduled_delay(DELAY);
    }
    let batches = BatchSpanProcessor::builder(exporter).with_batch_config(batches.build()).build();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource(service))
        .with_sampler(sampling)
        .with_id_generator(Ids::default())
        .with_span_processor(KeepErrors(batches));
    Ok(provider.build())
}

/// What is said of the process with everything that it tells.
pub(crate) fn resource(service: &str) -> Resource {
    let given = Resource::builder().build();
    let named = given
        .get(&opentelemetry::Key::from_static_str("service.name"))
        .is_some_and(|name| !name.as_str().starts_with(UNNAMED_SERVICE));
    if named { given } else { Resource::builder().with_service_name(service.to_owned()).build() }
}

/// An error with what led to it.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

/// Says when the collector stops taking what it is sent and when it takes that again, once each: a collector that is down for an
/// hour is one fact, not one for every batch.
#[derive(Debug)]
pub(crate) struct Taking {
    what: &'static str,
    until_it_does: &'static str,
    failing: AtomicBool,
}

impl Taking {
    /// It takes all so far; `until_it_does` is what becomes of the rest.
    pub(crate) const fn new(what: &'static str, until_it_does: &'static str) -> Self {
        Self { what, until_it_does, failing: AtomicBool::new(false) }
    }

    /// Notes what came of sending.
    pub(crate) fn note(&self, result: &OTelSdkResult) {
        let (what, until_it_does) = (self.what, self.until_it_does);
        let failed_before = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) if !failed_before => {
                tracing::warn!(error = %told(error), "the collector does not take {what}; {until_it_does}");
            }
            Ok(()) if failed_before => tracing::info!("the collector takes {what} again"),
            _ => {}
        }
    }
}

#[derive(Debug)]
struct Reporting {
    otlp: Otlp,
    taking: Taking,
}

impl SpanExporter for Reporting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.otlp.export(batch).await;
        self.taking.note(&result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.otlp.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}
