//! Sets up the logs and spans of a process.

use std::env;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterFn, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::log_form::LogForm;
use crate::sampling::Sampling;
use crate::span::LOG_TARGET;
use crate::{export, metrics, moment};

/// How long [`Telemetry::shutdown`] may take: long enough for a collector that is well, short beside the
/// 10 seconds that supervisors commonly give a process to stop.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// What is logged when neither `MESH_LOG` nor `RUST_LOG` says. The NATS client reports at `info` each
/// connection that it makes, and each that fails; what matters of that, the mesh says itself, once.
const DEFAULT_LOG: &str = "info,async_nats=warn,async_nats::connector=off";

/// The protocol by which spans and metrics are sent; nothing said is that, too.
const PROTOCOLS: [&str; 2] = ["", "http/protobuf"];

/// What names the spans of the mesh among those of other libraries.
const SCOPE: &str = "mesh";

/// Crates that work for the exporter or for the connection: their spans are never exported, because exporting
/// them would make more of them. Nor are those that only say on log lines what they are about.
const UNEXPORTED: [&str; 8] =
    ["opentelemetry", "reqwest", "hyper", "h2", "tokio", "mio", "async_nats", LOG_TARGET];

/// The telemetry of this process; keep it until the process ends.
#[derive(Debug)]
#[must_use = "spans that wait to be sent are lost unless this is kept and shut down"]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
    is_over: bool,
}

/// Sets up the telemetry of this process. Call it once, first of all.
///
/// Log lines go to stderr, as text (coloured if that is a terminal and `NO_COLOR` is not set) or, with `MESH_LOG_FORMAT=json`,
/// as one JSON object each. `MESH_LOG`, or else `RUST_LOG`, chooses what is logged, in the syntax of [`EnvFilter`]; a directive in
/// it that cannot be read is reported and passed over.
///
/// If `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set and not empty, spans of level `debug` and above
/// are sent there in batches by OTLP over HTTP (`http://` only), whatever is logged. The other `OTEL_…` variables of the
/// OpenTelemetry specification for the resource, sampler, batches and exporter hold. `OTEL_TRACES_SAMPLER` chooses among traces
/// that no requester has chosen from; of those that are not chosen, spans that tell of an error are sent all the same.
/// `OTEL_TRACES_EXPORTER=none` sends none. Metrics are sent in the same way to `OTEL_EXPORTER_OTLP_ENDPOINT` or
/// `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`, unless `OTEL_METRICS_EXPORTER` is `none`. `service` is the `service.name` unless
/// `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` gives one.
///
/// Nothing here can fail a process: what cannot be set up is logged and left out. If the process already has a
/// subscriber for `tracing`, that one stays and nothing is exported.
pub fn init(service: &str) -> Telemetry {
    init_with_log(service, None, None)
}

/// Sets up the telemetry of this process as [`init`] does, with what to log and in which form as the caller says, if it says.
pub fn init_with_log(service: &str, log: Option<&str>, form: Option<LogForm>) -> Telemetry {
    let (form, unknown_form) = form.map_or_else(LogForm::from_env, |form| (form, None));
    let logs = form.layer().with_filter(log_filter(log));
    let (exporting, unknown_exporter) = is_sent("TRACES");
    let (with_metrics, unknown_metrics_exporter) = is_sent("METRICS");
    let (sampling, unknown_sampler) = Sampling::from_env();
    let built = exporting.then(|| export::provider(service, sampling)).transpose();
    let (provider, error) = match built {
        Ok(provider) => (provider, None),
        Err(error) => (None, Some(error)),
    };
    let spans = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(SCOPE))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(span_filter())
    });
    let installed = tracing_subscriber::registry().with(logs).with(spans).try_init();
    let unknown = [
        unknown_form,
        unknown_exporter,
        unknown_metrics_exporter,
        unknown_sampler.filter(|_| exporting),
        unknown_protocol().filter(|_| exporting || with_metrics),
    ];
    for unknown in unknown.into_iter().flatten() {
        tracing::warn!("{unknown}");
    }
    if let Some(error) = error {
        tracing::error!(%error, "spans are not exported: the OTEL_EXPORTER_OTLP_… settings cannot be used");
    }
    if with_metrics && let Err(error) = metrics::export(service) {
        tracing::error!(%error, "metrics are not exported: the OTEL_EXPORTER_OTLP_… settings cannot be used");
    }
    let provider = provider.filter(|_| installed.is_ok());
    if let Some(provider) = &provider {
        moment::export(provider.tracer(SCOPE), sampling);
    }
    Telemetry { provider, is_over: false }
}

impl Telemetry {
    /// Sends the spans that still wait. Blocks the thread until that is done, at most [`SHUTDOWN_TIMEOUT`]; what
    /// is not sent by then is lost.
    pub fn shutdown(self) {
        self.shutdown_within(SHUTDOWN_TIMEOUT);
    }

    /// [`Telemetry::shutdown`] within a time of the caller's: for processes that somebody waits for.
    pub fn shutdown_within(mut self, limit: Duration) {
        self.flush(limit);
    }

    fn flush(&mut self, limit: Duration) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        // Both at once, so that it takes no longer than one of them.
        std::thread::scope(|scope| {
            scope.spawn(|| metrics::shutdown(limit));
            if let Some(provider) = self.provider.take()
                && let Err(error) = provider.shutdown_with_timeout(limit)
            {
                tracing::info!(%error, "the last spans may not have reached the collector");
            }
        });
    }
}

impl Drop for Telemetry {
    /// Does what [`Telemetry::shutdown`] does, for processes that end early.
    fn drop(&mut self) {
        self.flush(SHUTDOWN_TIMEOUT);
    }
}

/// Whether `TRACES` or `METRICS` are to be sent, as the environment says; and what is wrong with that, if something is.
fn is_sent(signal: &str) -> (bool, Option<String>) {
    let has_endpoint =
        is_set("OTEL_EXPORTER_OTLP_ENDPOINT") || is_set(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"));
    let variable = format!("OTEL_{signal}_EXPORTER");
    match env::var(&variable).unwrap_or_default().as_str() {
        "none" => (false, None),
        "" | "otlp" => (has_endpoint, None),
        other => {
            let error = format!(
                "{variable} is {other:?}, which is not known here: use otlp or none; otlp is used, and sends to where \
                 OTEL_EXPORTER_OTLP_ENDPOINT says"
            );
            (has_endpoint, Some(error))
        }
    }
}

/// What is wrong with the protocol that the environment asks for, if something is.
fn unknown_protocol() -> Option<String> {
    let other =
        env::var("OTEL_EXPORTER_OTLP_PROTOCOL").ok().filter(|other| !PROTOCOLS.contains(&other.as_str()))?;
    Some(format!("OTEL_EXPORTER_OTLP_PROTOCOL is {other:?}: only http/protobuf is spoken here, and used"))
}

pub(crate) fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| !value.is_empty())
}

fn log_filter(given: Option<&str>) -> EnvFilter {
    let from_env = || {
        let chosen = ["MESH_LOG", "RUST_LOG"].into_iter().find(|variable| is_set(variable));
        chosen.and_then(|variable| env::var(variable).ok())
    };
    let directives = given.map(ToOwned::to_owned).or_else(from_env);
    let filter = EnvFilter::builder().parse_lossy(directives.as_deref().unwrap_or(DEFAULT_LOG));
    // Whatever is logged of a handler says of which task it is.
    match format!("{LOG_TARGET}=error").parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    }
}

/// Spans down to `debug`, so that those of every message cost nothing while nobody collects them and the log is
/// at its default level; events, which become part of a span, only from `info`.
fn span_filter() -> FilterFn<fn(&Metadata<'_>) -> bool> {
    filter_fn(is_exported as fn(&Metadata<'_>) -> bool).with_max_level_hint(Level::DEBUG)
}

fn is_exported(metadata: &Metadata<'_>) -> bool {
    let least = if metadata.is_span() { Level::DEBUG } else { Level::INFO };
    *metadata.level() <= least && !UNEXPORTED.iter().any(|name| metadata.target().starts_with(name))
}
