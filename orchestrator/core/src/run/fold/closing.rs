//! What is done when it is decided how a run ends.

use mesh_schemas::payload::{WorkflowCancelled, WorkflowCompleted, WorkflowFailed, code};
use mesh_schemas::{TaskId, Timer};
use serde_json::{Value, json};

use super::close::Ending;
use super::deliver::Hit;
use super::{At, EndState, Fold, run_error};
use crate::decision::{Action, End};
use crate::expression::{Around, Brings};
use crate::plan::Finally;
use crate::run::state::{Closing, Failure, Frame, Outcome};

/// What the ids of these tasks begin with.
pub(in crate::run) const PREFIX: &str = "finally:";

impl Fold<'_> {
    /// The end of the run is decided: what is to be done then is begun, or the run ends. Who waits for it is told whether it
    /// may be worth another try.
    pub(super) fn end(&mut self, root: &mut Frame, end: End, is_retryable: bool) {
        let plan = self.plan;
        let Some(finally) = &plan.finally else { return self.end_for_good(root, end, is_retryable) };
        self.hold.is_paused = false;
        self.deadline = self.time + finally.timeout;
        if let Some(outcome_of_run) = self.variables.get_mut("outcome") {
            *outcome_of_run = outcome(&end);
        }
        self.decide(Action::SetTimer(Timer::Finally, self.deadline));
        let mut frame = Frame::new(&finally.block);
        let outcome = self.with_block(finally, root, |fold, at| fold.open(at, &mut frame));
        *self.closing = Some(Box::new(Closing { end, is_retryable, due: self.deadline, frame }));
        self.close_down(root, outcome);
    }

    /// Hands an event to what is done at the end.
    pub(in crate::run) fn hit_at_the_end(&mut self, root: &mut Frame, task: &TaskId, hit: &Hit<'_>) {
        let mut parts = task.parts();
        let plan = self.plan;
        if parts.next() != Some("finally") {
            return;
        }
        let (Some(finally), Some(mut closing)) = (&plan.finally, self.closing.take()) else { return };
        let frame = &mut closing.frame;
        let outcome = self.with_block(finally, root, |fold, at| fold.deliver(at, frame, &mut parts, hit));
        *self.closing = Some(closing);
        self.close_down(root, outcome);
    }

    /// The time for what is done at the end is over.
    pub(in crate::run) fn end_timed_out(&mut self, root: &mut Frame) {
        let message = "what is done finally was not done within its time".to_owned();
        let failure = Failure { task: None, code: code::TIMEOUT.to_owned(), message, retryable: true };
        self.close_down(root, Some(Outcome::Failed(failure)));
    }

    /// Somebody wants the run to end, which is at its end: it ends at once.
    pub(in crate::run) fn cancelled_at_the_end(&mut self, root: &mut Frame, reason: Option<String>) {
        let (duration_ms, tasks) = (self.duration_ms(), *self.counts);
        if let Some(closing) = self.closing {
            closing.end = End::Cancelled(WorkflowCancelled { reason, duration_ms, tasks });
        }
        self.close_down(root, Some(Outcome::Skipped));
    }

    /// Ends the run if all that is done at the end is over.
    fn close_down(&mut self, root: &mut Frame, outcome: Option<Outcome>) {
        let plan = self.plan;
        let Some(outcome) = outcome else { return };
        let (Some(finally), Some(mut closing)) = (&plan.finally, self.closing.take()) else { return };
        let ending = Ending { code: code::RUN_ENDED, reason: "the run ended" };
        let at = At { block: &finally.block, prefix: PREFIX, around: None };
        self.close(at, &mut closing.frame, 0, ending);
        let (duration_ms, tasks) = (self.duration_ms(), *self.counts);
        let mut retryable = closing.is_retryable;
        let end = match (closing.end.clone(), outcome) {
            (End::Completed(_), Outcome::Failed(Failure { task, code, message, retryable: again })) => {
                retryable = again;
                let error = run_error(task.as_ref(), code, message);
                End::Failed(WorkflowFailed { error, task, duration_ms, tasks })
            }
            (End::Completed(end), _) => End::Completed(WorkflowCompleted { duration_ms, tasks, ..end }),
            (End::Failed(end), _) => End::Failed(WorkflowFailed { duration_ms, tasks, ..end }),
            (End::Cancelled(end), _) => End::Cancelled(WorkflowCancelled { duration_ms, tasks, ..end }),
        };
        *self.closing = Some(closing);
        self.end_for_good(root, end, retryable);
    }

    fn with_block<T>(
        &mut self,
        finally: &Finally,
        root: &Frame,
        take: impl FnOnce(&mut Self, At<'_>) -> T,
    ) -> T {
        // What ended before can be asked for; it does not change any more.
        let around = Around { parent: None, brings: Brings::Tasks(&root.ended) };
        take(self, At { block: &finally.block, prefix: PREFIX, around: Some(&around) })
    }

    fn end_for_good(&mut self, root: &mut Frame, end: End, is_retryable: bool) {
        *self.end = EndState::Decided;
        // Nothing is rendered any more.
        root.ended.clear();
        match &end {
            End::Completed(end) => self.report_completed(&end.output),
            End::Failed(end) => self.report_failed(&end.error, is_retryable),
            End::Cancelled(end) => self.report_cancelled(end.reason.as_deref()),
        }
        self.decide(Action::End(end));
    }
}

/// What expressions see as `run.outcome`.
fn outcome(end: &End) -> Value {
    match end {
        End::Completed(_) => json!({ "status": "completed", "error": null }),
        End::Failed(end) => {
            json!({ "status": "failed", "error": { "code": end.error.code, "message": end.error.message } })
        }
        End::Cancelled(end) => {
            json!({ "status": "cancelled", "error": { "code": "cancelled", "message": end.reason } })
        }
    }
}
