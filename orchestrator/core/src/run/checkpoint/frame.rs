//! What a state does not write down, as it follows from the rest; and whether the rest fits the plan.

use std::sync::Arc;

use mesh_schemas::TaskId;
use mesh_schemas::definition::Join;

use crate::plan::{Block, Node, Recurring, Step, graph};
use crate::run::state::{Frame, NodeState, Stand};

impl Frame {
    /// Fills in what was not written.
    pub(super) fn complete(&mut self, block: &Block, prefix: &str) -> Result<(), &'static str> {
        if self.nodes.len() != block.nodes.len() {
            return Err("it has more or fewer tasks than the plan");
        }
        for (node, state) in block.nodes.iter().zip(&mut self.nodes) {
            complete_node(node, state, &format!("{prefix}{}", node.id))?;
        }
        let ended: Vec<bool> = self.nodes.iter().map(NodeState::has_ended).collect();
        for (place, node) in block.nodes.iter().enumerate() {
            self.count_needs(place, node, &ended)?;
        }
        if self.released.iter().any(|place| ended.get(*place) != Some(&false)) {
            return Err("a task that has ended is waited for, or not");
        }
        self.open = ended.iter().filter(|ended| !**ended).count() - self.released.len();
        self.readers = block.readers(|place| !ended[place]);
        let is_known =
            |place: &usize| ended[*place] || matches!(self.nodes[*place], NodeState::Recovering(..));
        let kept = (0..ended.len()).filter(|place| is_known(place) && self.readers[*place] > 0);
        let kept: Vec<&TaskId> = kept.map(|place| &block.nodes[place].id).collect();
        if kept.len() != self.ended.len() || !kept.into_iter().eq(self.ended.keys()) {
            return Err("it lacks an output, or has one that nobody can ask for");
        }
        Ok(())
    }

    fn count_needs(&mut self, place: usize, node: &Node, ended: &[bool]) -> Result<(), &'static str> {
        let missing = node.needs.iter().filter(|need| !ended[**need]).count();
        let is_told =
            |failed: usize| ended[failed] || matches!(self.nodes[failed], NodeState::Recovering(..));
        let stands_in = node.rescues.is_some_and(|failed| !is_told(failed));
        let arrived =
            node.needs.iter().filter(|need| matches!(self.nodes[**need], NodeState::Done(_))).count();
        let is_strict = node.join == Join::All;
        match &mut self.nodes[place] {
            NodeState::Waiting(waiting) => {
                let missing = missing + usize::from(stands_in);
                if missing == 0 {
                    return Err("a task waits for nothing");
                }
                waiting.missing = u32::try_from(missing).unwrap_or(u32::MAX);
                waiting.arrived = u32::try_from(arrived).unwrap_or(u32::MAX);
                Ok(())
            }
            _ if is_strict && node.rescues.is_none() && missing > 0 => {
                Err("a task stands otherwise than its needs allow")
            }
            _ => Ok(()),
        }
    }
}

fn complete_node(node: &Node, state: &mut NodeState, path: &str) -> Result<(), &'static str> {
    match (state, &node.recurring) {
        (NodeState::Once(stand), Recurring::Once) => complete_stand(&node.step, stand, path),
        (NodeState::Each(each), Recurring::Each(_)) => {
            let count = each.items.len();
            let fits = each.ends.len() == count
                && each.outputs.len() == count
                && each.next <= count
                && (each.width > 0 || each.next == 0)
                && each.keys.as_ref().is_none_or(|keys| keys.len() == count)
                && each.running.keys().all(|number| *number < each.next);
            if !fits {
                return Err("a loop does not fit its items");
            }
            each.running.iter_mut().try_for_each(|(number, stand)| {
                complete_stand(&node.step, stand, &format!("{path}:{number}"))
            })
        }
        (NodeState::Loop(state), Recurring::Loop(_)) => {
            complete_stand(&node.step, &mut state.stand, &format!("{path}:{}", state.number))
        }
        (NodeState::Once(_) | NodeState::Each(_) | NodeState::Loop(_), _) => {
            Err("a task is done otherwise than planned")
        }
        _ => Ok(()),
    }
}

fn complete_stand(step: &Step, stand: &mut Stand, path: &str) -> Result<(), &'static str> {
    match (step, stand) {
        (Step::Work(_), Stand::Active(_) | Stand::GivenUp(_) | Stand::Pausing(_) | Stand::Stuck(_)) => Ok(()),
        (Step::Group(block), Stand::Group(frame)) => frame.complete(block, &format!("{path}:")),
        (Step::Work(work), Stand::Planned(planned)) => {
            let planner = work.planner.as_ref().ok_or("a task has a plan, and none was to be made")?;
            let block = graph(planner, path, &planned.source).map_err(|_| "a plan cannot be followed")?;
            planned.frame.complete(&block, &format!("{path}:"))?;
            planned.block = Some(Arc::new(block));
            Ok(())
        }
        (Step::Switch(cases), Stand::Case(number, stand)) => match cases.get(*number) {
            Some(case) => complete_stand(&case.step, stand, &format!("{path}:{number}")),
            None => Err("a switch has fewer cases"),
        },
        _ => Err("a task is done otherwise than planned"),
    }
}
