//! The list of metrics, as a text for people.

use std::fmt::Write as _;

use super::labels::{MOST_VALUES, OTHER};
use super::table::ALL;

/// Every metric with what it means.
#[must_use]
pub fn document() -> String {
    let mut text = format!(
        "# Metrics\n\nMade from the code by `mesh schema`. Orchestrators and agents tell them on `/metrics` of the endpoint that \
         `--observe` (MESH_OBSERVE) opens, as Prometheus reads them, and send them by OTLP where `OTEL_EXPORTER_OTLP_ENDPOINT` or \
         `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` says, unless `OTEL_METRICS_EXPORTER` is `none`.\n\nCounters and histograms are of one \
         process and begin anew with it: use `sum(rate(…))`. They count facts as they are stored or followed for the first time. \
         After a crash some may be missing, or be counted by two processes, so they are close and not exact; the log is exact. What one \
         orchestrator tells for the whole namespace may for a moment be told by two: use `max by (…)`. Of one label at most {MOST_VALUES} \
         values are told apart; the others are counted as `{OTHER}`. No label is a run or a task. Every histogram has buckets from \
         a millisecond to a week.\n\n\
         | Prometheus | OpenTelemetry | Kind | Unit | Labels | Reported by | Means |\n|---|---|---|---|---|---|---|\n"
    );
    for metric in ALL {
        let about = metric.about();
        let labels: Vec<String> = about.labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {} | `{}` | {} | {} | {} |",
            about.prometheus(),
            about.name,
            about.kind.as_str(),
            about.unit,
            labels.join(", "),
            about.by.as_str(),
            about.help.replace('|', "\\|"),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_file_in_the_repository_is_the_generated_one() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/metrics.md");
        let found = std::fs::read_to_string(file).unwrap_or_default();
        assert!(found == document(), "schemas/metrics.md is not as generated: run `mesh schema`");
    }

    #[test]
    fn names_are_those_of_one_metric_each() {
        let names: BTreeSet<String> = ALL.iter().map(|metric| metric.about().prometheus()).collect();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            let about = metric.about();
            assert!(
                about.name.starts_with("mesh.") || about.name.starts_with("messaging."),
                "{}",
                about.name
            );
            let forbidden = ["run", "task", "run_id", "task_id"];
            assert!(!about.labels.iter().any(|label| forbidden.contains(label)), "{}", about.name);
        }
    }
}
