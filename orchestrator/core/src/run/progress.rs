//! How far a run is.

use mesh_schemas::TaskId;

use super::Run;
use super::state::{Frame, ItemEnd, NodeState, Stand};
use crate::plan::{Block, Recurring, Step};

impl Run {
    /// What share of each task of the workflow itself is over, from 0 to 1, in the order of their ids. What is made of
    /// others is as far as those are on the average; a loop that repeats counts as if it took all iterations that it may. `told`
    /// says how far the agent of work under way is.
    #[must_use]
    pub fn shares(&self, told: &dyn Fn(&TaskId) -> f64) -> Vec<(TaskId, f64)> {
        let shares = Shares { told };
        let nodes = self.plan.root.nodes.iter().enumerate();
        nodes
            .map(|(place, node)| (node.id.clone(), shares.node(&self.plan.root, &self.root, place, "")))
            .collect()
    }
}

struct Shares<'a> {
    told: &'a dyn Fn(&TaskId) -> f64,
}

impl Shares<'_> {
    fn block(&self, block: &Block, frame: &Frame, prefix: &str) -> f64 {
        average((0..block.nodes.len()).map(|place| self.node(block, frame, place, prefix)))
    }

    fn node(&self, block: &Block, frame: &Frame, place: usize, prefix: &str) -> f64 {
        let node = &block.nodes[place];
        let path = || format!("{prefix}{}", node.id);
        match (&frame.nodes[place], &node.recurring) {
            (NodeState::Waiting(_), _) => 0.0,
            (NodeState::Once(stand), _) => self.stand(&node.step, stand, &path()),
            (NodeState::Each(each), _) => average(each.ends.iter().enumerate().map(|(number, end)| {
                match (end, each.running.get(&number)) {
                    (_, Some(stand)) => self.stand(&node.step, stand, &format!("{}:{number}", path())),
                    (ItemEnd::None, None) => 0.0,
                    (ItemEnd::Done(_) | ItemEnd::Failed(_) | ItemEnd::Skipped, None) => 1.0,
                }
            })),
            (NodeState::Loop(state), Recurring::Loop(rule)) => {
                let path = format!("{}:{}", path(), state.number);
                let now = self.stand(&node.step, &state.stand, &path);
                (f64::from(state.number - 1) + now) / f64::from(rule.max)
            }
            (NodeState::Loop(_), _) => 0.0,
            (
                NodeState::Recovering(..) | NodeState::Done(_) | NodeState::Failed(_) | NodeState::Skipped,
                _,
            ) => 1.0,
        }
    }

    fn stand(&self, step: &Step, stand: &Stand, path: &str) -> f64 {
        match (step, stand) {
            (_, Stand::Active(_)) => TaskId::new(path).map_or(0.0, |id| (self.told)(&id).clamp(0.0, 1.0)),
            (_, Stand::GivenUp(_) | Stand::Pausing(_) | Stand::Stuck(_)) => 0.0,
            (Step::Group(block), Stand::Group(frame)) => self.block(block, frame, &format!("{path}:")),
            (_, Stand::Planned(planned)) => self.block(&planned.block(), &planned.frame, &format!("{path}:")),
            (Step::Switch(cases), Stand::Case(number, stand)) => {
                self.stand(&cases[*number].step, stand, &format!("{path}:{number}"))
            }
            (_, Stand::Group(_) | Stand::Case(..)) => 0.0,
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share for people")]
fn average(shares: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = shares.fold((0.0, 0_usize), |(sum, count), share| (sum + share, count + 1));
    if count == 0 { 1.0 } else { sum / count as f64 }
}
