//! What is run.

use clap::ValueEnum;
use mesh_bus::nats::floor::Course;
use mesh_schemas::WorkflowName;
use mesh_schemas::definition::{Definition, parse};
use mesh_schemas::document::Format;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What agents can do: give back what they are given. With several capabilities, the first of them.
pub(super) const CAPABILITY: &str = "bench";
/// One first attempt in so many fails, where some do.
const ONE_IN_FAILS: u64 = 100;
/// Items of the loop in the mixed workflow.
const MIXED_ITEMS: usize = 8;
/// Tasks under way at a time, unless something else is said: enough to keep every part busy.
const TASKS_IN_FLIGHT: usize = 2_560;
/// Runs under way at a time at most, unless something else is said.
const RUNS_IN_FLIGHT: usize = 256;

/// The workflow that is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
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
    #[serde(rename = "one")]
    One,
    /// A task, two side by side after it, and one that waits for both
    #[serde(rename = "diamond")]
    Diamond,
    /// 100 tasks side by side, and one that waits for all
    #[value(name = "fan-out-100")]
    #[serde(rename = "fan-out-100")]
    FanOut100,
    /// 1 000 tasks side by side, and one that waits for all
    #[value(name = "fan-out-1000")]
    #[serde(rename = "fan-out-1000")]
    FanOut1000,
    /// A loop over 100 items, all at once, and a task that waits for them
    #[value(name = "foreach-100")]
    #[serde(rename = "foreach-100")]
    Foreach100,
    /// A loop over 1 000 items
    #[value(name = "foreach-1000")]
    #[serde(rename = "foreach-1000")]
    Foreach1000,
    /// A loop over 10 000 items
    #[value(name = "foreach-10000")]
    #[serde(rename = "foreach-10000")]
    Foreach10000,
    /// A task, a loop over 8 items, two tasks side by side, and one that waits for both; one attempt in 100 fails and is made again
    #[serde(rename = "mixed")]
    Mixed,
}

/// Tasks of a run that may be done side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Each a task of the definition.
    Tasks(usize),
    /// Items of a loop.
    Items(usize),
}

impl Stage {
    fn width(self) -> usize {
        match self {
            Self::Tasks(width) | Self::Items(width) => width,
        }
    }
}

impl Workload {
    /// What it is called.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn stages(self) -> Vec<Stage> {
        use Stage::{Items, Tasks};
        match self {
            Self::One => vec![Tasks(1)],
            Self::Chain3 => vec![Tasks(1); 3],
            Self::Chain10 => vec![Tasks(1); 10],
            Self::Diamond => vec![Tasks(1), Tasks(2), Tasks(1)],
            Self::FanOut100 => vec![Tasks(100), Tasks(1)],
            Self::FanOut1000 => vec![Tasks(1_000), Tasks(1)],
            Self::Foreach100 => vec![Items(100), Tasks(1)],
            Self::Foreach1000 => vec![Items(1_000), Tasks(1)],
            Self::Foreach10000 => vec![Items(10_000), Tasks(1)],
            Self::Mixed => vec![Tasks(1), Items(MIXED_ITEMS), Tasks(2), Tasks(1)],
        }
    }

    /// Tasks of a run.
    pub(super) fn tasks(self) -> usize {
        self.stages().into_iter().map(Stage::width).sum()
    }

    /// Tasks of a run that follow one on another.
    pub(super) fn depth(self) -> usize {
        self.stages().len()
    }

    /// Runs under way at a time, unless something else is said.
    pub(super) fn in_flight(self) -> usize {
        let widest = self.stages().into_iter().map(Stage::width).max().unwrap_or(1);
        (TASKS_IN_FLIGHT / widest).clamp(1, RUNS_IN_FLIGHT)
    }

    /// One first attempt in so many fails; 0 for none.
    pub(super) fn one_in_fails(self) -> u64 {
        if self == Self::Mixed { ONE_IN_FAILS } else { 0 }
    }

    /// What the bare loop has to know of it.
    pub(super) fn course(self, capabilities: u32) -> Course {
        Course {
            names: (0..capabilities).map(name).collect(),
            stages: self.stages().into_iter().map(Stage::width).collect(),
            one_in_fails: self.one_in_fails(),
        }
    }

    /// The workflow that asks for this one of the capabilities, and has its name.
    pub(super) fn definition(self, capability: u32) -> anyhow::Result<Definition> {
        let name = name(capability);
        let mut tasks = Map::new();
        let mut needs: Vec<String> = Vec::new();
        let mut text = "${input.text}".to_owned();
        for (place, stage) in self.stages().into_iter().enumerate() {
            let width = if let Stage::Tasks(width) = stage { width } else { 1 };
            let ids: Vec<String> = (0..width).map(|number| format!("t{place}_{number}")).collect();
            for id in &ids {
                let mut task = json!({ "agent": name, "needs": needs, "with": { "text": text } });
                if let Stage::Items(width) = stage {
                    let items: Vec<usize> = (0..width).collect();
                    task["foreach"] = json!({ "in": items, "max_parallel": width });
                }
                if self.one_in_fails() > 0 {
                    task["retry"] = json!({ "max_attempts": 2, "initial": "0s" });
                }
                tasks.insert(id.clone(), task);
            }
            // What an item made is one of many, and what several tasks made is that of the first.
            text = match stage {
                Stage::Tasks(_) => format!("${{tasks.{}.output.text}}", ids[0]),
                Stage::Items(_) => "${input.text}".to_owned(),
            };
            needs = ids;
        }
        let document = json!({ "mesh": "v1", "name": name, "output": text, "tasks": tasks });
        Ok(parse(&document.to_string(), Format::Json)?)
    }

    /// The input of a run, with so many bytes of text.
    pub(super) fn input(payload: u32) -> Value {
        json!({ "text": "x".repeat(payload as usize) })
    }
}

/// The name of a capability, and of the workflow that asks for it.
pub(super) fn name(capability: u32) -> String {
    if capability == 0 { CAPABILITY.to_owned() } else { format!("{CAPABILITY}-{capability}") }
}

/// The same as the name of a workflow.
pub(super) fn workflow(capability: u32) -> anyhow::Result<WorkflowName> {
    Ok(WorkflowName::new(name(capability))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_a_workflow_and_a_course() {
        for workload in Workload::value_variants() {
            let definition = workload.definition(3).expect("a definition");
            assert_eq!(definition.name, workflow(3).expect("a name"));
            assert_eq!(workload.course(4).stages.iter().sum::<usize>(), workload.tasks());
            assert!((1..=RUNS_IN_FLIGHT).contains(&workload.in_flight()));
        }
        assert!(Workload::input(512)["text"].as_str().is_some_and(|text| text.len() == 512));
    }
}
