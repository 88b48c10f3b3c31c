//! Metrics as values: what they are called and what they count, and the instruments that record them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use opentelemetry::metrics::{self as otel, Meter};
use opentelemetry::{KeyValue, StringValue};

use super::labels;

/// Upper bounds of the buckets of every histogram, in seconds: from a millisecond to a week, as runs and tasks of people take days.
pub const BOUNDS: [f64; 23] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
    600.0, 1800.0, 3600.0, 21_600.0, 86_400.0, 604_800.0,
];

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Grows as long as the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many values lay below each of [`BOUNDS`].
    Histogram,
}

impl Kind {
    /// Its name, as Prometheus writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Who reports a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Orchestrators.
    Orchestrators,
    /// The one orchestrator that follows the first shard, for all of the namespace. While that changes two may do so: use
    /// `max by (…)`.
    FirstOrchestrator,
    /// Agents.
    Agents,
    /// Both.
    Both,
}

impl By {
    /// Its name in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orchestrators => "orchestrators",
            Self::FirstOrchestrator => "one orchestrator",
            Self::Agents => "agents",
            Self::Both => "orchestrators, agents",
        }
    }
}

/// What there is to say of a metric.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Its name in OpenTelemetry: `mesh.runs.started`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its unit as UCUM has it: `s`, `By`, `1` for a ratio, `{run}` for a number of runs.
    pub unit: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// Who reports it.
    pub by: By,
    /// What it means.
    pub help: &'static str,
}

impl About {
    /// Its name in Prometheus: `mesh_runs_started_total`.
    #[must_use]
    pub fn prometheus(&self) -> String {
        prometheus(self.name, self.kind, self.unit)
    }
}

/// What Prometheus calls a metric of this name, kind and unit.
pub(super) fn prometheus(name: &str, kind: Kind, unit: &str) -> String {
    let mut name = sanitized(name);
    let unit = match unit {
        "s" => "_seconds",
        "By" => "_bytes",
        "1" => "_ratio",
        _ => "",
    };
    let total = if kind == Kind::Counter { "_total" } else { "" };
    // Writing to a string does not fail.
    let _ = write!(name, "{unit}{total}");
    name
}

/// A name in which nothing stands that Prometheus does not allow in one.
pub(super) fn sanitized(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

/// A metric of any kind.
pub trait Metric: Sync {
    /// What it is called, and more.
    fn about(&self) -> &About;
    /// Records from now on.
    fn begin(&'static self, meter: &Meter);
}

/// A number of events. Until something collects metrics, counting costs one branch.
pub struct Counter<const N: usize> {
    about: About,
    instrument: OnceLock<otel::Counter<u64>>,
}

impl<const N: usize> Counter<N> {
    pub(super) const fn new(about: About) -> Self {
        Self { about, instrument: OnceLock::new() }
    }

    /// So many more. With 0, the series is there before the first event, so that the first one is seen as a change.
    pub fn add(&self, amount: u64, values: [&str; N]) {
        if let Some(instrument) = self.instrument.get() {
            with_attributes(&self.about, values, |attributes| instrument.add(amount, attributes));
        }
    }
}

impl<const N: usize> Metric for Counter<N> {
    fn about(&self) -> &About {
        &self.about
    }

    fn begin(&'static self, meter: &Meter) {
        let About { name, unit, help, .. } = self.about;
        self.instrument
            .get_or_init(|| meter.u64_counter(name).with_unit(unit).with_description(help).build());
    }
}

/// How long something took. Until something collects metrics, recording costs one branch.
pub struct Histogram<const N: usize> {
    about: About,
    instrument: OnceLock<otel::Histogram<f64>>,
}

impl<const N: usize> Histogram<N> {
    pub(super) const fn new(about: About) -> Self {
        Self { about, instrument: OnceLock::new() }
    }

    /// It took that long once.
    pub fn record(&self, took: Duration, values: [&str; N]) {
        if let Some(instrument) = self.instrument.get() {
            let took = took.as_secs_f64();
            with_attributes(&self.about, values, |attributes| instrument.record(took, attributes));
        }
    }
}

impl<const N: usize> Metric for Histogram<N> {
    fn about(&self) -> &About {
        &self.about
    }

    fn begin(&'static self, meter: &Meter) {
        let About { name, unit, help, .. } = self.about;
        self.instrument.get_or_init(|| {
            let histogram = meter.f64_histogram(name).with_unit(unit).with_description(help);
            histogram.with_boundaries(BOUNDS.to_vec()).build()
        });
    }
}

/// How something is now. What is not said any more is not reported any more, unlike what was said last of it.
pub struct Gauge<const N: usize> {
    about: About,
    instrument: OnceLock<otel::ObservableGauge<f64>>,
    values: Mutex<BTreeMap<[Arc<str>; N], f64>>,
}

impl<const N: usize> Gauge<N> {
    pub(super) const fn new(about: About) -> Self {
        Self { about, instrument: OnceLock::new(), values: Mutex::new(BTreeMap::new()) }
    }

    /// It is so now.
    pub fn set(&self, value: f64, values: [&str; N]) {
        if self.instrument.get().is_some() {
            self.values().insert(self.key(values), value);
        }
    }

    /// It is so much more now, or less.
    pub fn add(&self, change: f64, values: [&str; N]) {
        if self.instrument.get().is_some() {
            *self.values().entry(self.key(values)).or_default() += change;
        }
    }

    /// It is so now, and what is not among these is not there. Values of labels that count together are added.
    pub fn replace<'a>(&self, all: impl IntoIterator<Item = ([&'a str; N], f64)>) {
        self.replace_by(all, |a, b| a + b);
    }

    /// As [`Gauge::replace`], but of values of labels that count together the largest is told.
    pub fn replace_by_most<'a>(&self, all: impl IntoIterator<Item = ([&'a str; N], f64)>) {
        self.replace_by(all, f64::max);
    }

    /// As [`Gauge::replace`], but of values of labels that count together the smallest is told.
    pub fn replace_by_least<'a>(&self, all: impl IntoIterator<Item = ([&'a str; N], f64)>) {
        self.replace_by(all, f64::min);
    }

    fn replace_by<'a>(
        &self,
        all: impl IntoIterator<Item = ([&'a str; N], f64)>,
        both: impl Fn(f64, f64) -> f64,
    ) {
        if self.instrument.get().is_none() {
            return;
        }
        let mut now = BTreeMap::new();
        for (values, value) in all {
            now.entry(self.key(values)).and_modify(|there| *there = both(*there, value)).or_insert(value);
        }
        *self.values() = now;
    }

    /// Nothing is known of it any more.
    pub fn forget(&self) {
        self.values().clear();
    }

    fn key(&self, values: [&str; N]) -> [Arc<str>; N] {
        let mut labels = self.about.labels.iter().copied();
        values.map(|value| labels::bounded(labels.next().unwrap_or_default(), value))
    }

    fn values(&self) -> MutexGuard<'_, BTreeMap<[Arc<str>; N], f64>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<const N: usize> Metric for Gauge<N> {
    fn about(&self) -> &About {
        &self.about
    }

    fn begin(&'static self, meter: &Meter) {
        let About { name, unit, help, labels, .. } = self.about;
        self.instrument.get_or_init(|| {
            let gauge = meter.f64_observable_gauge(name).with_unit(unit).with_description(help);
            let observe = move |observer: &dyn otel::AsyncInstrument<f64>| {
                for (values, value) in &*self.values() {
                    let pairs = labels.iter().zip(values.iter().cloned());
                    let attributes: Vec<KeyValue> =
                        pairs.map(|(label, value)| KeyValue::new(*label, StringValue::from(value))).collect();
                    observer.observe(*value, &attributes);
                }
            };
            gauge.with_callback(observe).build()
        });
    }
}

/// Does something with the labels that have a value: an empty one is none.
fn with_attributes<const N: usize>(about: &About, values: [&str; N], record: impl FnOnce(&[KeyValue])) {
    let mut labels = about.labels.iter().copied();
    let has_empty = values.iter().any(|value| value.is_empty());
    let attributes = values.map(|value| {
        let label = labels.next().unwrap_or_default();
        KeyValue::new(label, StringValue::from(labels::bounded(label, value)))
    });
    if has_empty {
        let told = attributes.into_iter().filter(|attribute| !attribute.value.as_str().is_empty());
        record(&told.collect::<Vec<_>>());
    } else {
        record(&attributes);
    }
}

/// A time that counts as none if it is before the beginning, as where clocks differ.
#[must_use]
pub fn elapsed(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}
