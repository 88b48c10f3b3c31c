use mesh_schemas::TaskId;
use mesh_schemas::payload::code;
use serde_json::{Map, Value, json};

use super::reading::{Failure, Fate, Marks};
use crate::workload::{Around, Measure, Measures, Merge, MergeBy, Seen};

/// Weights of quality and speed where nothing is said, in tenths.
const WEIGHTS: (u32, u32) = (7, 3);
/// Quality of what nothing is said of, where nothing else is said, in hundredths.
const DEFAULT_QUALITY: u32 = 50;

/// An output that counts by itself.
struct Part {
    source: String,
    output: Value,
    measure: Measure,
}

/// What a merge comes to, when it begins.
pub(super) fn merged(merge: &Merge, path: &TaskId, around: &Around<'_>) -> Fate {
    let is_done = |seen: &&Seen| seen.status == "done";
    let parts = || merge.of.iter().filter_map(|task| Some((task, around.task(task)?))).flat_map(parts_of);
    match merge.by {
        MergeBy::Object => {
            let done = merge.of.iter().filter_map(|task| Some((task, around.task(task).filter(is_done)?)));
            let outputs: Map<String, Value> =
                done.map(|(task, seen)| (task.to_string(), seen.output.clone())).collect();
            Fate::Done(outputs.into(), Marks::default())
        }
        MergeBy::Collect => Fate::Done(parts().map(|part| part.output).collect(), Marks::default()),
        MergeBy::First => match parts().min_by_key(|part| part.measure.at) {
            Some(part) => Fate::Done(part.output, Marks::default()),
            None => nothing(path),
        },
        MergeBy::Quality => by_quality(merge, path, &parts().collect::<Vec<_>>(), around),
    }
}

fn nothing(path: &TaskId) -> Fate {
    Fate::Failed(Failure::found(code::NOTHING_TO_MERGE, Some(path)))
}

/// What went well of a task: its output, or those of its items.
fn parts_of((task, seen): (&TaskId, &Seen)) -> Vec<Part> {
    match &seen.measures {
        Measures::None => Vec::new(),
        Measures::One(measure) => {
            vec![Part { source: task.to_string(), output: seen.output.clone(), measure: *measure }]
        }
        Measures::Items(measures) => {
            let part = |(number, measure): (&usize, &Measure)| {
                let source = format!("{task}:{number}");
                let output = items(&seen.output)[*number].clone();
                Part { source, output, measure: *measure }
            };
            measures.iter().map(part).collect()
        }
    }
}

fn items(output: &Value) -> Vec<&Value> {
    match output {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

/// What failed of a task: itself, or items of it. An item that was skipped gave null.
fn failures_of((task, seen): (&TaskId, &Seen)) -> Vec<Value> {
    let told = |source: String, error: &Value| json!({ "source": source, "code": error["code"], "message": error["message"] });
    match &seen.measures {
        _ if seen.status == "failed" => vec![told(task.to_string(), &seen.error)],
        Measures::Items(measures) => {
            let others = items(&seen.output).into_iter().enumerate();
            let failed =
                others.filter(|(number, output)| !measures.contains_key(number) && !output.is_null());
            failed.map(|(number, output)| told(format!("{task}:{number}"), &output["error"])).collect()
        }
        _ => Vec::new(),
    }
}

fn by_quality(merge: &Merge, path: &TaskId, parts: &[Part], around: &Around<'_>) -> Fate {
    let (quality, speed) = merge.weights.unwrap_or(WEIGHTS);
    let (for_quality, for_speed) = (f64::from(quality) / 10.0, f64::from(speed) / 10.0);
    let unsaid = f64::from(merge.default_quality.unwrap_or(DEFAULT_QUALITY)) / 100.0;
    let quality = |part: &Part| part.measure.quality.unwrap_or(unsaid);
    let weight = |part: &Part| {
        let minutes = part.measure.millis as f64 / 60_000.0;
        for_quality * quality(part) + for_speed * 1.0 / (1.0 + minutes)
    };
    let weights: Vec<f64> = parts.iter().map(weight).collect();
    let sum: f64 = weights.iter().sum();
    // Where nothing weighs anything, all count the same.
    let shares: Vec<f64> = weights
        .iter()
        .map(|weight| if sum > 0.0 { weight / sum } else { 1.0 / parts.len() as f64 })
        .collect();
    let mut primary: Option<usize> = None;
    for (place, share) in shares.iter().enumerate() {
        if primary.is_none_or(|best| *share > shares[best]) {
            primary = Some(place);
        }
    }
    let Some(primary) = primary else { return nothing(path) };
    let whole: f64 = parts.iter().zip(&shares).map(|(part, share)| share * quality(part)).sum();
    let sources: Vec<Value> = parts
        .iter()
        .zip(&shares)
        .map(|(part, share)| {
            json!({
                "source": part.source,
                "share": six_places(*share),
                "quality": quality(part),
                "seconds": part.measure.millis as f64 / 1_000.0,
                "output": part.output,
            })
        })
        .collect();
    let seen = merge.of.iter().filter_map(|task| Some((task, around.task(task)?)));
    let failed: Vec<Value> = seen.flat_map(failures_of).collect();
    let missing: Vec<&TaskId> = merge.of.iter().filter(|task| around.task(task).is_none()).collect();
    let quality = six_places(whole);
    let output = json!({
        "result": parts[primary].output,
        "primary": parts[primary].source,
        "quality": quality,
        "sources": sources,
        "failed": failed,
        "missing": missing,
    });
    Fate::Done(output, Marks { quality: Some(quality), items: None })
}

fn six_places(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}
