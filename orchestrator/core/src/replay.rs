//! A run made anew from its log.

use std::collections::BTreeSet;
use std::sync::Arc;

use mesh_schemas::TaskKey;

use crate::decision::Decision;
use crate::event::{Event, Fact};
use crate::plan::Plan;
use crate::run::Run;

/// Folds a log from its beginning. The decisions are those that may be missing from the log: storing them all
/// makes up for whatever was not stored when the events were first handled.
///
/// `None` if there is no `started` among the events. Events before `started` are not part of the run.
#[must_use]
pub fn replay(plan: &Arc<Plan>, events: &[Event]) -> Option<(Run, Vec<Decision>)> {
    let begin = events.iter().position(|event| matches!(event.fact, Fact::Started(_)))?;
    let (first, rest) = events[begin..].split_first()?;
    let Fact::Started(started) = &first.fact else { return None };
    let (mut run, step) = Run::start(first, started, Arc::clone(plan));
    let mut decisions = step.decisions;
    for event in rest {
        decisions.extend(run.apply(event).decisions);
    }
    decisions.retain(|decision| run.may_be_missing(decision));
    Some((run, decisions))
}

/// The attempts whose results are lost by the word of the log: somebody looked for one, did not find it, and gave the
/// attempt up. Whatever is found in its place is not to be read any more, or it would be decided otherwise than it was:
/// [`Fact::Lost`] is what such an attempt came to.
#[must_use]
pub fn given_up_as_lost<'a>(events: impl IntoIterator<Item = &'a Event>) -> BTreeSet<TaskKey> {
    let lost = events.into_iter().filter_map(Event::gives_up_as_lost);
    lost.cloned().collect()
}
