//! One output of those of several tasks.

use mesh_schemas::TaskId;
use mesh_schemas::definition::MergeBy;
use mesh_schemas::payload::code;
use serde_json::{Map, Value, json};

use crate::expression::{Around, Ended, Measure, Measures, Status};
use crate::plan::Merge;
use crate::run::state::Outcome;

/// What is merged of one task, or of one item of a loop.
struct Source<'a> {
    name: String,
    output: &'a Value,
    measure: Measure,
}

/// What there is to merge.
#[derive(Default)]
struct Sources<'a> {
    good: Vec<Source<'a>>,
    failed: Vec<Value>,
    missing: Vec<&'a TaskId>,
}

/// What a merge comes to.
pub(super) fn merge(merge: &Merge, path: &str, around: &Around<'_>) -> Outcome {
    if merge.by == MergeBy::Object {
        let good = merge.from.iter().filter_map(|task| Some((task, around.ended(task)?)));
        let good = good.filter(|(_, ended)| ended.status == Status::Done);
        let outputs: Map<String, Value> =
            good.map(|(task, ended)| (task.to_string(), ended.output.clone())).collect();
        return Outcome::Done(Value::Object(outputs));
    }
    let sources = Sources::of(merge, around);
    let merged = match merge.by {
        MergeBy::Quality => sources.weighed(merge),
        MergeBy::First => sources.first(),
        MergeBy::Collect | MergeBy::Object => Some(sources.outputs()),
    };
    match merged {
        Some(output) => Outcome::Done(output),
        None => {
            let names: Vec<&str> = merge.from.iter().map(TaskId::as_str).collect();
            let message = format!("none of {} went well", names.join(", "));
            super::failure(path, code::NOTHING_TO_MERGE, message, false)
        }
    }
}

/// The quality that a merge has reckoned, if it does.
pub(super) fn reckoned(merge: &Merge, outcome: &Outcome) -> Option<f64> {
    match outcome {
        Outcome::Done(output) if merge.by == MergeBy::Quality => output.get("quality")?.as_f64(),
        _ => None,
    }
}

impl<'a> Sources<'a> {
    fn of(merge: &'a Merge, around: &'a Around<'_>) -> Self {
        let mut sources = Self::default();
        for task in &merge.from {
            match around.ended(task) {
                None => sources.missing.push(task),
                Some(ended) => sources.add(task, ended),
            }
        }
        sources
    }

    fn add(&mut self, task: &TaskId, ended: &'a Ended) {
        match (ended.status, ended.measures.as_deref()) {
            (Status::Skipped, _) | (Status::Done, None) => {}
            (Status::Failed, _) => self.failed.push(failure(task.as_str(), ended.error.as_deref())),
            (Status::Done, Some(Measures::One(measure))) => {
                self.good.push(Source { name: task.to_string(), output: &ended.output, measure: *measure });
            }
            (Status::Done, Some(Measures::Items(measures))) => {
                let outputs: Vec<&Value> = match &ended.output {
                    Value::Array(outputs) => outputs.iter().collect(),
                    Value::Object(outputs) => outputs.values().collect(),
                    _ => Vec::new(),
                };
                for (number, output) in outputs.into_iter().enumerate() {
                    let name = format!("{task}:{number}");
                    match measures.get(&number) {
                        Some(measure) => self.good.push(Source { name, output, measure: *measure }),
                        None if output.is_null() => {}
                        None => self.failed.push(failure(&name, output.get("error"))),
                    }
                }
            }
        }
    }

    fn outputs(&self) -> Value {
        self.good.iter().map(|source| source.output.clone()).collect()
    }

    fn first(&self) -> Option<Value> {
        let first = self.good.iter().min_by_key(|source| source.measure.order)?;
        Some(first.output.clone())
    }

    fn weighed(&self, merge: &Merge) -> Option<Value> {
        let quality = |source: &Source<'_>| source.measure.quality.unwrap_or(merge.default_quality);
        let weight = |source: &Source<'_>| {
            let minutes = source.measure.millis as f64 / 60_000.0;
            merge.weights.quality * quality(source) + merge.weights.speed / (1.0 + minutes)
        };
        let total: f64 = self.good.iter().map(weight).sum();
        let share = |source: &Source<'_>| {
            if total > 0.0 { weight(source) / total } else { 1.0 / self.good.len() as f64 }
        };
        let primary =
            self.good.iter().reduce(|best, other| if share(other) > share(best) { other } else { best })?;
        let whole: f64 = self.good.iter().map(|source| share(source) * quality(source)).sum();
        let sources: Vec<Value> = self
            .good
            .iter()
            .map(|source| {
                json!({
                    "source": source.name,
                    "share": rounded(share(source)),
                    "quality": quality(source),
                    "seconds": source.measure.millis as f64 / 1_000.0,
                    "output": source.output,
                })
            })
            .collect();
        Some(json!({
            "result": primary.output,
            "primary": primary.name,
            "quality": rounded(whole),
            "sources": sources,
            "failed": self.failed,
            "missing": self.missing,
        }))
    }
}

fn failure(source: &str, error: Option<&Value>) -> Value {
    let part = |key: &str| error.and_then(|error| error.get(key)).cloned().unwrap_or_default();
    json!({ "source": source, "code": part("code"), "message": part("message") })
}

/// To six places: what more there is says nothing.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}
