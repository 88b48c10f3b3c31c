//! How many items of a loop are under way at a time, where that is chosen from what agents could take on.

use std::collections::BTreeSet;

use mesh_schemas::payload::code;

use super::begin::failed;
use super::{Fold, failure, task_id};
use crate::decision::{Action, Route};
use crate::expression::{Around, Template};
use crate::plan::{Adaptive, Each, Step};
use crate::run::state::{EachState, Outcome};

impl Fold<'_> {
    /// Asks for the choice; what the loop comes to, if that cannot be asked.
    pub(super) fn ask_for_width(
        &mut self,
        each: &Each,
        adaptive: &Adaptive,
        step: &Step,
        path: &str,
        around: &Around<'_>,
    ) -> Option<Outcome> {
        let complexity = self.score(&adaptive.complexity, "complexity", path, around);
        let dependency = self.score(&adaptive.dependency, "dependency", path, around);
        let (complexity, dependency) = match (complexity, dependency) {
            (Ok(complexity), Ok(dependency)) => (complexity, dependency),
            (Err(outcome), _) | (_, Err(outcome)) => return Some(outcome),
        };
        let mut capabilities = BTreeSet::new();
        step.capabilities(&mut capabilities);
        let capabilities = capabilities.into_iter().cloned().collect();
        let most = u32::try_from(each.max_parallel).unwrap_or(u32::MAX);
        let route = Route { complexity, dependency, most, capabilities };
        self.decide(Action::Route(task_id(path), Box::new(route)));
        None
    }

    /// The choice stands in the log.
    pub(super) fn width_chosen(
        &mut self,
        each: &Each,
        step: &Step,
        state: &mut EachState,
        path: &str,
        around: &Around<'_>,
        width: u32,
    ) -> Option<Outcome> {
        if state.width > 0 {
            return None;
        }
        state.width = (width as usize).clamp(1, each.max_parallel);
        self.fill(each, step, state, path, around, 0)
    }

    fn score(
        &self,
        template: &Template,
        name: &str,
        path: &str,
        around: &Around<'_>,
    ) -> Result<f64, Outcome> {
        let place = format!("foreach.adaptive.{name}");
        let value =
            template.render(&self.scope(around, None)).map_err(|error| failed(path, &place, &error))?;
        let score = value.as_f64().filter(|score| (0.0..=1.0).contains(score));
        score.ok_or_else(|| {
            let message = format!("tasks.{path}.{place}: expected a number from 0 to 1, found {value}");
            failure(path, code::EXPRESSION, message, false)
        })
    }
}
