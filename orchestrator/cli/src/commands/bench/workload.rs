//! What is run.

use clap::ValueEnum;
use mesh_schemas::WorkflowName;
use mesh_schemas::definition::{Definition, parse};
use mesh_schemas::document::Format;
use serde::Serialize;
use serde_json::{Value, json};

/// What agents can do: give back what they are given.
pub(super) const CAPABILITY: &str = "bench";
/// Items of the loop.
const ITEMS: usize = 100;

/// The workflow that is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Workload {
    /// Three tasks one after another, each with what the one before made
    #[default]
    #[value(name = "chain-3")]
    #[serde(rename = "chain-3")]
    Chain3,
    /// Ten tasks one after another
    #[value(name = "chain-10")]
    #[serde(rename = "chain-10")]
    Chain10,
    /// One task
    One,
    /// A loop over 100 items, all at once, and a task that waits for them
    #[value(name = "fan-out-100")]
    #[serde(rename = "fan-out-100")]
    FanOut100,
}

impl Workload {
    /// Tasks of a run.
    pub(super) fn tasks(self) -> usize {
        match self {
            Self::One => 1,
            Self::Chain3 => 3,
            Self::Chain10 => 10,
            Self::FanOut100 => ITEMS + 1,
        }
    }

    /// Tasks of a run that follow one on another.
    pub(super) fn depth(self) -> usize {
        match self {
            Self::FanOut100 => 2,
            chain => chain.tasks(),
        }
    }

    /// The name of the workflow.
    pub(super) fn workflow(self) -> anyhow::Result<WorkflowName> {
        Ok(WorkflowName::new(CAPABILITY)?)
    }

    /// Its definition.
    pub(super) fn definition(self) -> anyhow::Result<Definition> {
        let (tasks, output) = match self {
            Self::FanOut100 => fan_out(),
            chain => in_a_row(chain.tasks()),
        };
        let document = json!({ "mesh": "v1", "name": CAPABILITY, "output": output, "tasks": tasks });
        Ok(parse(&document.to_string(), Format::Json)?)
    }

    /// The input of a run, with so many bytes of text.
    pub(super) fn input(self, payload: usize) -> Value {
        let text = "x".repeat(payload);
        match self {
            Self::FanOut100 => json!({ "text": text, "items": (0..ITEMS).collect::<Vec<_>>() }),
            _ => json!({ "text": text }),
        }
    }
}

fn in_a_row(length: usize) -> (Value, String) {
    let mut tasks = serde_json::Map::new();
    let mut text = "${input.text}".to_owned();
    for number in 1..=length {
        let needs: Vec<String> = (number > 1).then(|| format!("t{}", number - 1)).into_iter().collect();
        tasks.insert(
            format!("t{number}"),
            json!({ "agent": CAPABILITY, "needs": needs, "with": { "text": text } }),
        );
        text = format!("${{tasks.t{number}.output.text}}");
    }
    (Value::Object(tasks), text)
}

fn fan_out() -> (Value, String) {
    let each = json!({
        "foreach": { "in": "${input.items}", "max_parallel": ITEMS },
        "agent": CAPABILITY,
        "with": { "text": "${input.text}" },
    });
    let join = json!({
        "agent": CAPABILITY, "needs": ["each"], "with": { "made": "${size(tasks.each.output)}" },
    });
    (json!({ "each": each, "join": join }), "${tasks.join.output.made}".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_a_workflow() {
        for workload in Workload::value_variants() {
            workload.definition().expect("a definition");
            assert!(workload.input(512)["text"].as_str().is_some_and(|text| text.len() == 512));
        }
    }
}
