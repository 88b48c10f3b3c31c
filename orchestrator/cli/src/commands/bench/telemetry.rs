//! What the processes of the mesh tell about themselves while they are measured.

use std::net::SocketAddr;

use serde::Serialize;
use tokio::process::Command;

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Telemetry {
    /// Nothing.
    Off,
    /// Metrics, at the endpoint of each process.
    Metrics,
    /// Metrics there and by OTLP, and one trace in ten by OTLP.
    Tenth,
    /// The same with every trace.
    Everything,
}

impl Telemetry {
    /// All, in the order in which they take turns; they are compared with the first.
    pub(super) const ALL: [Self; 4] = [Self::Off, Self::Metrics, Self::Tenth, Self::Everything];

    /// What it is called in a table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Metrics => "metrics",
            Self::Tenth => "10% of traces",
            Self::Everything => "every trace",
        }
    }

    /// Whether processes have an endpoint.
    pub(super) fn has_endpoint(self) -> bool {
        self != Self::Off
    }

    /// Whether something is sent to a collector.
    pub(super) fn is_sent(self) -> bool {
        matches!(self, Self::Tenth | Self::Everything)
    }

    /// Has a process send what it is to, to a collector there.
    pub(super) fn prepare(self, command: &mut Command, collector: Option<SocketAddr>) {
        let Some(collector) = collector.filter(|_| self.is_sent()) else { return };
        let part = if self == Self::Tenth { "0.1" } else { "1" };
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"))
            .env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
            .env("OTEL_TRACES_SAMPLER_ARG", part);
    }
}
