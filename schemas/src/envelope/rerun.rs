//! The extensions `rerunof`, `rerunfrom` and `pausebefore` of requests.

use serde_json::Value;

use super::{Envelope, EnvelopeError};
use crate::name::TaskId;
use crate::payload::Rerun;

/// Name of the extension with the run that is done again.
const RERUN_OF: &str = "rerunof";
/// Name of the extension with the tasks from which on it is: ids with commas between.
const RERUN_FROM: &str = "rerunfrom";
/// Name of the extension with the tasks before which the run is paused: ids with commas between.
const PAUSE_BEFORE: &str = "pausebefore";

impl Envelope {
    /// The run that a request has done again, if any.
    ///
    /// # Errors
    /// [`EnvelopeError::NotCloudEvent`] if it is none, or if there are tasks to begin with and no run.
    pub fn rerun(&self) -> Result<Option<Rerun>, EnvelopeError> {
        let from = self.tasks(RERUN_FROM)?;
        let Some(of) = self.extensions.get(RERUN_OF) else {
            return match from.is_empty() {
                true => Ok(None),
                false => Err(wrong(RERUN_FROM, "it goes with rerunof, which names the run")),
            };
        };
        let of = of.as_str().ok_or_else(|| wrong(RERUN_OF, &format!("{of} is no run id")))?;
        let of = of.parse().map_err(|error| wrong(RERUN_OF, &format!("{error}")))?;
        Ok(Some(Rerun { of, from }))
    }

    /// Says which run is done again.
    pub fn set_rerun(&mut self, rerun: Option<&Rerun>) {
        self.extensions.remove(RERUN_OF);
        if let Some(rerun) = rerun {
            self.extensions.insert(RERUN_OF.to_owned(), rerun.of.to_string().into());
        }
        self.set_tasks(RERUN_FROM, rerun.map_or(&[], |rerun| &rerun.from));
    }

    /// Tasks before which the run of a request is paused, beside those of which its workflow says so.
    ///
    /// # Errors
    /// [`EnvelopeError::NotCloudEvent`] if they are no ids.
    pub fn pause_before(&self) -> Result<Vec<TaskId>, EnvelopeError> {
        self.tasks(PAUSE_BEFORE)
    }

    /// Has the run paused before these tasks.
    pub fn set_pause_before(&mut self, tasks: &[TaskId]) {
        self.set_tasks(PAUSE_BEFORE, tasks);
    }

    fn tasks(&self, name: &str) -> Result<Vec<TaskId>, EnvelopeError> {
        match self.extensions.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(ids)) => {
                let ids = ids.split(',').map(|id| id.trim().parse::<TaskId>());
                ids.collect::<Result<_, _>>().map_err(|error| wrong(name, &error.to_string()))
            }
            Some(other) => Err(wrong(name, &format!("{other} is no list of tasks: write a,b"))),
        }
    }

    fn set_tasks(&mut self, name: &str, tasks: &[TaskId]) {
        self.extensions.remove(name);
        if !tasks.is_empty() {
            let ids: Vec<&str> = tasks.iter().map(TaskId::as_str).collect();
            self.extensions.insert(name.to_owned(), ids.join(",").into());
        }
    }
}

fn wrong(name: &str, what: &str) -> EnvelopeError {
    EnvelopeError::NotCloudEvent(format!("{name}: {what}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RUN: &str = "3.6ba7b810-9dad-11d1-80b4-00c04fd430c8";

    fn event(extensions: &[(&str, Value)]) -> Envelope {
        let mut event = Envelope::new("1", "/test", "workflow.requested", json!({}));
        event.extensions.extend(extensions.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        event
    }

    fn ids(ids: &[&str]) -> Vec<TaskId> {
        ids.iter().map(|id| id.parse().expect("an id")).collect()
    }

    #[test]
    fn they_are_written_and_read() {
        for from in [vec![], ids(&["a"]), ids(&["a", "b_2"])] {
            let rerun = Rerun { of: RUN.parse().expect("a run"), from };
            let mut written = event(&[]);
            written.set_rerun(Some(&rerun));
            written.set_pause_before(&ids(&["c", "d"]));
            let (headers, body) = written.encode().expect("an event");
            let read = crate::Envelope::decode(&headers, &body).expect("an event");
            let read = read.envelope().expect("an event");
            assert_eq!(read.rerun(), Ok(Some(rerun)));
            assert_eq!(read.pause_before(), Ok(ids(&["c", "d"])));
        }
        assert_eq!(event(&[]).rerun(), Ok(None));
        assert_eq!(
            event(&[("rerunof", json!(RUN)), ("rerunfrom", json!("a, b"))]).rerun().unwrap().unwrap().from,
            ids(&["a", "b"])
        );
    }

    #[test]
    fn what_is_wrong_is_told() {
        let wrong: [(&[(&str, Value)], &str); 5] = [
            (&[("rerunof", json!(7))], "rerunof: 7 is no run id"),
            (&[("rerunof", json!("nothing"))], "rerunof: "),
            (&[("rerunfrom", json!("a"))], "rerunfrom: it goes with rerunof"),
            (&[("rerunof", json!(RUN)), ("rerunfrom", json!("A"))], "rerunfrom: "),
            (&[("rerunof", json!(RUN)), ("rerunfrom", json!(true))], "rerunfrom: true is no list of tasks"),
        ];
        for (extensions, said) in wrong {
            let error = event(extensions).rerun().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let error = event(&[("pausebefore", json!("a,"))]).pause_before().unwrap_err().to_string();
        assert!(error.contains("pausebefore: "), "{error}");
    }
}
