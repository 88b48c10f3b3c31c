//! Tasks that an agent planned.

use std::sync::Arc;

use mesh_schemas::Attempt;
use mesh_schemas::document::Problem;
use mesh_schemas::payload::code;
use serde_json::Value;

use super::begin::failed;
use super::deliver::{Hit, Parts};
use super::{At, Fold, failure, output, task_id};
use crate::expression::Around;
use crate::plan::{self, Planner, Work};
use crate::run::state::{Failure, Frame, Outcome, Planned, Stand};

/// Most problems of a plan that are named.
const MAX_NAMED: usize = 50;

impl Fold<'_> {
    /// The agent of a task returned a plan: its tasks are done.
    #[expect(
        clippy::too_many_arguments,
        reason = "what is planned, how it stands, where, and what was returned"
    )]
    pub(super) fn graft(
        &mut self,
        work: &Work,
        planner: &Planner,
        stand: &mut Stand,
        path: &str,
        around: &Around<'_>,
        attempt: Attempt,
        returned: &Value,
    ) -> Option<Outcome> {
        let block = match plan::graph(planner, path, returned) {
            Ok(block) => Arc::new(block),
            Err(problems) => return Some(invalid(path, &problems)),
        };
        let mut frame = Frame::new(&block);
        let prefix = format!("{path}:");
        let at = At { block: &block, prefix: &prefix, around: None };
        let outcome = self.open(at, &mut frame);
        let outcome = outcome.map(|outcome| self.leave_plan(work, at, &mut frame, path, around, outcome));
        let source = returned.clone();
        *stand = Stand::Planned(Box::new(Planned { attempt, source, block: Some(block), frame }));
        outcome
    }

    /// Hands an event to a planned task.
    pub(super) fn deliver_planned(
        &mut self,
        work: &Work,
        planned: &mut Planned,
        path: &str,
        around: &Around<'_>,
        parts: &mut Parts<'_>,
        hit: &Hit<'_>,
    ) -> Option<Outcome> {
        let block = planned.block();
        let prefix = format!("{path}:");
        let at = At { block: &block, prefix: &prefix, around: None };
        let outcome = self.deliver(at, &mut planned.frame, parts, hit)?;
        Some(self.leave_plan(work, at, &mut planned.frame, path, around, outcome))
    }

    /// A plan is over: what it came to is the result of the task.
    fn leave_plan(
        &mut self,
        work: &Work,
        at: At<'_>,
        frame: &mut Frame,
        path: &str,
        around: &Around<'_>,
        outcome: Outcome,
    ) -> Outcome {
        match self.leave(at, frame, path, 0, outcome) {
            Outcome::Done(result) => self.rendered(work, path, around, result),
            other => other,
        }
    }

    /// The output of work that came to a result.
    pub(super) fn rendered(&self, work: &Work, path: &str, around: &Around<'_>, result: Value) -> Outcome {
        if let Some(schema) = &work.schema
            && let Some(failure) = output::refused(schema, &result, &format!("tasks.{path}.output_schema"))
        {
            return Outcome::Failed(Failure { task: Some(task_id(path)), ..failure });
        }
        let output = match &work.output {
            Some(output) => output.render(&self.scope(around, Some(&result))),
            None => Ok(result),
        };
        output.map_or_else(|error| failed(path, "output", &error), Outcome::Done)
    }
}

fn invalid(path: &str, problems: &[Problem]) -> Outcome {
    let named: Vec<String> = problems
        .iter()
        .take(MAX_NAMED)
        .map(
            |Problem { path, message, .. }| {
                if path.is_empty() { message.clone() } else { format!("{path}: {message}") }
            },
        )
        .collect();
    let more = match problems.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let message = format!("the plan cannot be followed: {}{more}", named.join("; "));
    failure(path, code::INVALID_PLAN, message, false)
}
