//! Where metrics go: to a collector by OTLP, and to whoever asks.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak, mpsc};
use std::thread;
use std::time::Duration;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, Protocol, WithExportConfig as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    InstrumentKind, ManualReader, PeriodicReader, Pipeline, SdkMeterProvider, Temporality,
};

use super::table::ALL;
use super::text;
use crate::export::{Taking, resource};

/// What collects the metrics of this process, once something does.
static COLLECTION: OnceLock<Collection> = OnceLock::new();

struct Collection {
    provider: SdkMeterProvider,
    pull: Pull,
    /// Where it is collected into: one at a time, and used again.
    collected: Mutex<ResourceMetrics>,
}

/// Whether something collects metrics, so that it is worth finding out what is only for them.
#[must_use]
pub fn is_collected() -> bool {
    COLLECTION.get().is_some()
}

/// Records from now on, for whoever asks by [`metrics`].
pub fn collect(service: &str) {
    begin(service, None);
}

/// Records from now on, and sends what was recorded to where the environment says, again and again.
///
/// # Errors
/// [`ExporterBuildError`] if an `OTEL_EXPORTER_OTLP_…` variable has a value that cannot be used.
pub(crate) fn export(service: &str) -> Result<(), ExporterBuildError> {
    let otlp = MetricExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?;
    begin(
        service,
        Some(Reporting { otlp, taking: Taking::new("metrics", "it gets newer ones when it does") }),
    );
    Ok(())
}

fn begin(service: &str, exporter: Option<Reporting>) {
    COLLECTION.get_or_init(|| {
        let pull = Pull(Arc::default());
        let mut builder =
            SdkMeterProvider::builder().with_resource(resource(service)).with_reader(pull.clone());
        if let Some(exporter) = exporter {
            builder = builder.with_reader(PeriodicReader::builder(exporter).build());
        }
        let provider = builder.build();
        let meter = provider.meter("mesh");
        ALL.iter().for_each(|metric| metric.begin(&meter));
        Collection { provider, pull, collected: Mutex::default() }
    });
}

/// All that was recorded, as Prometheus reads it; nothing if nothing is recorded.
#[must_use]
pub fn metrics() -> String {
    let Some(collection) = COLLECTION.get() else { return String::new() };
    let mut collected = collection.collected.lock().unwrap_or_else(PoisonError::into_inner);
    match collection.pull.collect(&mut collected) {
        Ok(()) => text::render(&collected),
        Err(error) => {
            tracing::debug!(%error, "the metrics cannot be collected");
            String::new()
        }
    }
}

/// Sends what was recorded since the last time. Blocks at most for so long.
pub(crate) fn shutdown(timeout: Duration) {
    let Some(collection) = COLLECTION.get() else { return };
    let (sender, ended) = mpsc::sync_channel(1);
    // The reader takes the time that it wants, whatever it is told: the process does not wait for it.
    let begun = thread::Builder::new().name("last metrics".to_owned()).spawn(move || {
        // Nobody may wait for it any more.
        let _ = sender.send(collection.provider.shutdown_with_timeout(timeout));
    });
    let error = match begun.map(|_| ended.recv_timeout(timeout)) {
        Ok(Ok(Ok(()))) => return,
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::debug!(error, "the last metrics may not have reached the collector");
}

/// A reader that is kept by whoever asks, too.
#[derive(Debug, Clone)]
pub(super) struct Pull(pub(super) Arc<ManualReader>);

impl MetricReader for Pull {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, collected: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(collected)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

struct Reporting {
    otlp: MetricExporter,
    taking: Taking,
}

impl PushMetricExporter for Reporting {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let result = self.otlp.export(metrics).await;
        self.taking.note(&result);
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.otlp.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.otlp.temporality()
    }
}
