//! Descriptions of events: `task.created`, `task.created risk`, `task.created risk 2`.

use mesh_schemas::document::nearest;

use super::event::Event;

/// Every type of event that a run can have. The order is that in which a run usually has them.
const TYPES: [&str; 14] = [
    "workflow.started",
    "workflow.signalled",
    "task.created",
    "task.assigned",
    "task.progress",
    "task.released",
    "task.completed",
    "task.failed",
    "task.cancelled",
    "timer.fired",
    "workflow.completed",
    "workflow.failed",
    "workflow.cancelled",
    "request.rejected",
];

/// A description of an event. What can describe no event of the run is refused: a check that something did *not*
/// happen would hold for a misspelt one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<String>);

impl Pattern {
    /// Reads a description; `tasks` are those of the run's workflow, if they are known.
    pub(super) fn new(text: &str, tasks: Option<&[String]>) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [type_, rest @ ..] = words.as_slice() else {
            return Err("an event is described by its type, such as \"task.created\"".to_owned());
        };
        if !TYPES.contains(type_) {
            return Err(format!("no event of a run has the type '{type_}'{}", meant(type_, TYPES)));
        }
        let most = match type_.split('.').next() {
            Some("task") => 2,
            Some("timer") => 1,
            _ if *type_ == "workflow.signalled" => 1,
            _ => 0,
        };
        if rest.len() > most {
            let form = ["its type", "its type and its name", "its type, its task and its attempt"][most];
            return Err(format!("an event '{type_}' is described by {form}, not by {text:?}"));
        }
        if type_.starts_with("task.")
            && let Some(task) = rest.first()
        {
            known_task(task, tasks)?;
        }
        if let [_, attempt] = rest
            && attempt.parse::<std::num::NonZeroU32>().is_err()
        {
            return Err(format!("an attempt is a number from 1, not '{attempt}'"));
        }
        Ok(Self(words.into_iter().map(ToOwned::to_owned).collect()))
    }

    /// Whether an event is as described.
    pub(super) fn matches(&self, event: &Event) -> bool {
        event.words().starts_with(&self.0)
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Whether a workflow has a task, which may be given with the number of an item.
pub(super) fn known_task(task: &str, tasks: Option<&[String]>) -> Result<(), String> {
    let Some(tasks) = tasks else { return Ok(()) };
    let id = task.split(':').next().unwrap_or_default();
    if tasks.iter().any(|known| known == id) {
        return Ok(());
    }
    let meant = meant(id, tasks.iter().map(String::as_str));
    Err(format!("the workflow has no task '{id}'; it has {}{meant}", tasks.join(", ")))
}

/// What a word that is not known was most likely meant to be.
pub(super) fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map(|near| format!(": did you mean '{near}'?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_describes_no_event_is_refused() {
        let tasks = ["risk".to_owned(), "charge".to_owned()];
        let refused = |text| Pattern::new(text, Some(&tasks)).expect_err("no event is so");
        assert!(refused("task.create").ends_with("did you mean 'task.created'?"));
        assert!(refused("task.created rsk").ends_with("'rsk'; it has risk, charge: did you mean 'risk'?"));
        assert!(refused("").contains("by its type"));
        assert!(refused("task.created risk two").contains("a number from 1"));
        assert!(refused("workflow.started risk").contains("by its type, not by"));
        assert!(refused("timer.fired retry-risk-1 2").contains("its type and its name"));
        for fine in ["task.created", "task.created risk", "task.failed risk:3 2", "workflow.signalled cancel"]
        {
            assert!(Pattern::new(fine, Some(&tasks)).is_ok(), "{fine}");
        }
    }
}
