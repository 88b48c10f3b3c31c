//! Metrics as Prometheus reads them: its text format, version 0.0.4.

use std::fmt::Write as _;

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, HistogramDataPoint, Metric, MetricData, ResourceMetrics,
};

use super::instrument::{Kind, prometheus, sanitized};

/// Type of the content.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics that were collected.
pub(super) fn render(collected: &ResourceMetrics) -> String {
    let mut text = String::new();
    for metric in collected.scope_metrics().flat_map(|scope| scope.metrics()) {
        match metric.data() {
            AggregatedMetrics::F64(data) => family(&mut text, metric, data),
            AggregatedMetrics::U64(data) => family(&mut text, metric, data),
            AggregatedMetrics::I64(data) => family(&mut text, metric, data),
        }
    }
    text
}

/// A number that Prometheus takes.
trait Number: Copy {
    fn write(self) -> String;
}

impl Number for u64 {
    fn write(self) -> String {
        self.to_string()
    }
}

impl Number for i64 {
    fn write(self) -> String {
        self.to_string()
    }
}

impl Number for f64 {
    fn write(self) -> String {
        if self.is_nan() {
            "NaN".to_owned()
        } else if self.is_infinite() {
            if self > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
        } else {
            self.to_string()
        }
    }
}

fn family<T: Number>(text: &mut String, metric: &Metric, data: &MetricData<T>) {
    let mut samples = match data {
        MetricData::Gauge(gauge) => {
            let name = head(text, metric, Kind::Gauge);
            let points = gauge.data_points();
            points.map(|point| sample(&name, point.attributes(), None, &point.value().write())).collect()
        }
        MetricData::Sum(sum) => {
            let name = head(text, metric, if sum.is_monotonic() { Kind::Counter } else { Kind::Gauge });
            let points = sum.data_points();
            points.map(|point| sample(&name, point.attributes(), None, &point.value().write())).collect()
        }
        MetricData::Histogram(histogram) => {
            let name = head(text, metric, Kind::Histogram);
            histogram.data_points().map(|point| buckets(&name, point)).collect()
        }
        // None of ours is one.
        MetricData::ExponentialHistogram(_) => Vec::new(),
    };
    samples.sort_unstable();
    samples.iter().for_each(|sample| text.push_str(sample));
}

/// What comes before the samples of a metric. Returns its name.
fn head(text: &mut String, metric: &Metric, kind: Kind) -> String {
    let name = prometheus(metric.name(), kind, metric.unit());
    // Writing to a string does not fail.
    let _ = writeln!(text, "# HELP {name} {}", escaped(metric.description(), false));
    let _ = writeln!(text, "# TYPE {name} {}", kind.as_str());
    name
}

/// The samples of one series of a histogram.
fn buckets<T: Number>(name: &str, point: &HistogramDataPoint<T>) -> String {
    let (mut text, mut below) = (String::new(), 0);
    let bounds = point.bounds().map(Number::write).chain(["+Inf".to_owned()]);
    let bucket = format!("{name}_bucket");
    for (bound, count) in bounds.zip(point.bucket_counts()) {
        below += count;
        text += &sample(&bucket, point.attributes(), Some(&bound), &below.to_string());
    }
    text += &sample(&format!("{name}_sum"), point.attributes(), None, &point.sum().write());
    text += &sample(&format!("{name}_count"), point.attributes(), None, &point.count().to_string());
    text
}

fn sample<'a>(
    name: &str,
    attributes: impl Iterator<Item = &'a KeyValue>,
    bound: Option<&str>,
    value: &str,
) -> String {
    let mut labels: Vec<String> = attributes
        .map(|pair| format!("{}=\"{}\"", sanitized(pair.key.as_str()), escaped(&pair.value.as_str(), true)))
        .collect();
    labels.sort();
    labels.extend(bound.map(|bound| format!("le=\"{bound}\"")));
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    format!("{name}{labels} {value}\n")
}

/// Text in which nothing ends a line, and nothing a value in quotes if it is one.
fn escaped(text: &str, in_quotes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if in_quotes => out.push_str("\\\""),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_sdk::metrics::SdkMeterProvider;
    use opentelemetry_sdk::metrics::reader::MetricReader as _;

    use super::*;
    use crate::metrics::collect::Pull;

    /// What is told after something was recorded.
    fn told(record: impl FnOnce(&opentelemetry::metrics::Meter)) -> String {
        let pull = Pull(Arc::default());
        let provider = SdkMeterProvider::builder().with_reader(pull.clone()).build();
        record(&provider.meter("test"));
        let mut collected = ResourceMetrics::default();
        pull.collect(&mut collected).expect("collected");
        render(&collected)
    }

    #[test]
    fn a_counter_has_its_unit_and_total_in_its_name_and_its_labels_in_order() {
        let text = told(|meter| {
            let counter =
                meter.u64_counter("mesh.bytes").with_unit("By").with_description("All\nof \\").build();
            counter.add(3, &[KeyValue::new("b", "2"), KeyValue::new("a.b", "say \"no\"\n\\")]);
        });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "# HELP mesh_bytes_bytes_total All\\nof \\\\",
                "# TYPE mesh_bytes_bytes_total counter",
                "mesh_bytes_bytes_total{a_b=\"say \\\"no\\\"\\n\\\\\",b=\"2\"} 3",
            ]
        );
    }

    #[test]
    fn buckets_of_a_histogram_hold_those_below() {
        let text = told(|meter| {
            let histogram =
                meter.f64_histogram("took").with_unit("s").with_boundaries(vec![0.5, 1.0]).build();
            for value in [0.25, 0.75, 0.75, 3.0] {
                histogram.record(value, &[]);
            }
        });
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "took_seconds_bucket{le=\"0.5\"} 1",
                "took_seconds_bucket{le=\"1\"} 3",
                "took_seconds_bucket{le=\"+Inf\"} 4",
                "took_seconds_sum 4.75",
                "took_seconds_count 4",
            ]
        );
        assert!(text.contains("# TYPE took_seconds histogram"), "{text}");
    }

    #[test]
    fn a_gauge_is_what_it_is() {
        let text = told(|meter| meter.f64_gauge("mesh.log.fill").with_unit("1").build().record(0.5, &[]));
        assert!(text.ends_with("# TYPE mesh_log_fill_ratio gauge\nmesh_log_fill_ratio 0.5\n"), "{text}");
    }
}
