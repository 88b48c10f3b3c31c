//! The tasks of a block in few words: a letter for each that stands as most do, equal ones counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mesh_schemas::Attempt;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::run::state::{NodeState, Stand, Waiting};

/// Most tasks that a text may say to have: those of the largest workflow. More would be a claim on memory.
const MAX_NODES: usize = crate::plan::MAX_TASKS;

#[derive(Serialize)]
struct Written<'a> {
    /// A letter for each task in the order of the plan: `d1024aw98975`.
    tasks: String,
    /// The last attempts of work, if they are not the first, by place.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attempts: BTreeMap<usize, Attempt>,
    /// What is more than a letter, by place.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    inside: BTreeMap<usize, &'a NodeState>,
}

#[derive(Deserialize)]
struct Read {
    tasks: String,
    #[serde(default)]
    attempts: BTreeMap<usize, Attempt>,
    #[serde(default)]
    inside: BTreeMap<usize, NodeState>,
}

pub(in crate::run) fn serialize<S: Serializer>(
    nodes: &[NodeState],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut written = Written { tasks: letters(nodes), attempts: BTreeMap::new(), inside: BTreeMap::new() };
    for (place, node) in nodes.iter().enumerate() {
        if letter(node) == INSIDE {
            written.inside.insert(place, node);
        } else if let Some(attempt) = node.attempt().filter(|attempt| *attempt != Attempt::FIRST) {
            written.attempts.insert(place, attempt);
        }
    }
    written.serialize(serializer)
}

pub(in crate::run) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<NodeState>, D::Error> {
    let Read { tasks, attempts, mut inside } = Read::deserialize(deserializer)?;
    let mut nodes = Vec::new();
    let mut rest = tasks.as_str();
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let count = if digits == 0 { Some(1) } else { rest[..digits].parse::<usize>().ok() };
        let count = count.filter(|count| *count <= MAX_NODES - nodes.len());
        for place in
            nodes.len()..nodes.len() + count.ok_or_else(|| D::Error::custom("it has too many tasks"))?
        {
            let attempt = attempts.get(&place).copied().unwrap_or(Attempt::FIRST);
            nodes.push(match letter {
                'w' => NodeState::Waiting(Waiting::default()),
                'a' => NodeState::Once(Stand::Active(attempt)),
                'p' => NodeState::Once(Stand::Pausing(attempt)),
                'g' => NodeState::Once(Stand::GivenUp(attempt)),
                't' => NodeState::Once(Stand::Stuck(attempt)),
                'd' => NodeState::Done(Some(attempt)),
                'D' => NodeState::Done(None),
                'f' => NodeState::Failed(Some(attempt)),
                'F' => NodeState::Failed(None),
                's' => NodeState::Skipped,
                INSIDE => inside.remove(&place).ok_or_else(|| D::Error::custom("a task lacks its state"))?,
                _ => return Err(D::Error::custom("a task stands in a way that there is not")),
            });
        }
        rest = &rest[digits..];
    }
    Ok(nodes)
}

/// For what is more than a letter.
const INSIDE: char = '*';

fn letter(node: &NodeState) -> char {
    match node {
        NodeState::Waiting(waiting) if waiting.in_grace || waiting.is_timed => INSIDE,
        NodeState::Waiting(_) => 'w',
        NodeState::Once(Stand::Active(_)) => 'a',
        NodeState::Once(Stand::Pausing(_)) => 'p',
        NodeState::Once(Stand::GivenUp(_)) => 'g',
        NodeState::Once(Stand::Stuck(_)) => 't',
        NodeState::Done(Some(_)) => 'd',
        NodeState::Done(None) => 'D',
        NodeState::Failed(Some(_)) => 'f',
        NodeState::Failed(None) => 'F',
        NodeState::Skipped => 's',
        NodeState::Once(Stand::Group(_) | Stand::Planned(_) | Stand::Case(..))
        | NodeState::Each(_)
        | NodeState::Loop(_)
        | NodeState::Recovering(..) => INSIDE,
    }
}

fn letters(nodes: &[NodeState]) -> String {
    let mut text = String::new();
    for equal in nodes.chunk_by(|a, b| letter(a) == letter(b)) {
        text.extend(equal.first().map(letter));
        if equal.len() > 1 {
            let _ = write!(text, "{}", equal.len());
        }
    }
    text
}
