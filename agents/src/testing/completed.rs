use std::time::Duration;

use mesh_schemas::difference::{Difference, Exactness, MAX_DIFFERENCES, differences};
use mesh_schemas::payload::TaskCompleted;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::story::Story;
use super::time::spoken;

/// A run that completed. Each assertion panics if it does not hold, and shows what happened.
#[derive(Debug, Clone)]
pub struct CompletedRun {
    pub(super) story: Story,
    pub(super) output: Value,
    pub(super) took: Duration,
}

impl CompletedRun {
    /// The output is exactly this. JSON does not tell 1 from 1.0.
    #[track_caller]
    pub fn with_output(&self, expected: impl Serialize) -> &Self {
        compare(&self.story, "output", &expected, &self.output, Exactness::Equal);
        self
    }

    /// The output is this where something is said here; objects may have more fields.
    #[track_caller]
    pub fn with_output_including(&self, expected: impl Serialize) -> &Self {
        compare(&self.story, "output", &expected, &self.output, Exactness::Contains);
        self
    }

    /// It took no longer than this, by tokio's clock.
    #[track_caller]
    pub fn within(&self, time: Duration) -> &Self {
        within(&self.story, self.took, time);
        self
    }

    /// It took this long or longer, by tokio's clock.
    #[track_caller]
    pub fn after(&self, time: Duration) -> &Self {
        after(&self.story, self.took, time);
        self
    }

    /// The output, read into a type.
    #[track_caller]
    pub fn output<T: DeserializeOwned>(&self) -> T {
        read(&self.story, &self.output)
    }
}

/// A task that completed. Each assertion panics if it does not hold, and shows what happened.
#[derive(Debug, Clone)]
pub struct CompletedTask {
    pub(super) story: Story,
    pub(super) data: TaskCompleted,
}

impl CompletedTask {
    /// What the agent returned is exactly this. JSON does not tell 1 from 1.0.
    #[track_caller]
    pub fn with_output(&self, expected: impl Serialize) -> &Self {
        compare(&self.story, "output", &expected, &self.data.output, Exactness::Equal);
        self
    }

    /// What the agent returned is this where something is said here; objects may have more fields.
    #[track_caller]
    pub fn with_output_including(&self, expected: impl Serialize) -> &Self {
        compare(&self.story, "output", &expected, &self.data.output, Exactness::Contains);
        self
    }

    /// The agent holds the result to be this good, from 0 to 1.
    #[track_caller]
    pub fn with_quality(&self, expected: f64) -> &Self {
        compare(&self.story, "quality", &expected, &Value::from(self.data.quality), Exactness::Equal);
        self
    }

    /// The agent says that the work consumed exactly this.
    #[track_caller]
    pub fn with_usage(&self, expected: impl Serialize) -> &Self {
        let usage = self.data.usage.clone().unwrap_or_default();
        compare(&self.story, "usage", &expected, &usage, Exactness::Equal);
        self
    }

    /// What the agent returned, read into a type.
    #[track_caller]
    pub fn output<T: DeserializeOwned>(&self) -> T {
        read(&self.story, &self.data.output)
    }
}

/// Compares something with what was expected of it.
#[track_caller]
pub(super) fn compare(
    story: &Story,
    what: &str,
    expected: &impl Serialize,
    actual: &Value,
    exactness: Exactness,
) {
    let expected = match serde_json::to_value(expected) {
        Ok(expected) => expected,
        Err(error) => story.fail(format!("the expected {what} cannot be written as JSON: {error}")),
    };
    let differences = differences(&expected, actual, exactness);
    if !differences.is_empty() {
        story.fail(format!("the {what} is not as expected\n  {}", told(&differences).join("\n  ")));
    }
}

/// Each difference in words.
fn told(differences: &[Difference]) -> Vec<String> {
    let mut told: Vec<String> = differences.iter().map(in_words).collect();
    if told.len() == MAX_DIFFERENCES {
        told.push(format!("and there may be more: only the first {MAX_DIFFERENCES} are told"));
    }
    told
}

fn in_words(Difference { place, expected, found }: &Difference) -> String {
    let place = if place.is_empty() { "the whole" } else { place.strip_prefix('.').unwrap_or(place) };
    match (expected, found) {
        (Some(expected), Some(found)) => format!("{place}: expected {expected}, found {found}"),
        (Some(expected), None) => format!("{place}: expected {expected}, and it is missing"),
        (None, found) => {
            format!("{place}: not expected, found {}", found.as_ref().unwrap_or(&Value::Null))
        }
    }
}

#[track_caller]
pub(super) fn within(story: &Story, took: Duration, most: Duration) {
    if took > most {
        story.fail(format!("expected an end within {}, but it took {}", spoken(most), spoken(took)));
    }
}

#[track_caller]
pub(super) fn after(story: &Story, took: Duration, least: Duration) {
    if took < least {
        story.fail(format!("expected an end after {} or later, but it took {}", spoken(least), spoken(took)));
    }
}

#[track_caller]
fn read<T: DeserializeOwned>(story: &Story, output: &Value) -> T {
    match T::deserialize(output) {
        Ok(output) => output,
        Err(error) => {
            story.fail(format!("the output is no {}: {error}: {output}", std::any::type_name::<T>()))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(expected: Value, actual: Value) -> Vec<String> {
        told(&differences(&expected, &actual, Exactness::Equal))
    }

    #[test]
    fn each_difference_is_told_with_its_place() {
        let expected = json!({"a": 1, "b": {"c": [1, {"d": "x"}]}, "e": null});
        let actual = json!({"a": 1.0, "b": {"c": [1, {"d": "y"}], "more": true}, "f": 2});
        let told = [
            "b.c[1].d: expected \"x\", found \"y\"",
            "b.more: not expected, found true",
            "e: expected null, and it is missing",
            "f: not expected, found 2",
        ];
        assert_eq!(words(expected, actual), told);
        assert_eq!(words(json!([1]), json!([2])), ["[0]: expected 1, found 2"]);
        assert_eq!(words(json!(1), json!("1")), ["the whole: expected 1, found \"1\""]);
    }

    #[test]
    fn it_is_said_that_there_may_be_more_than_is_told() {
        let list = |value: i32, length| Value::from(vec![value; length]);
        let told = words(list(1, MAX_DIFFERENCES + 1), list(2, MAX_DIFFERENCES + 1));
        assert_eq!(told.len(), MAX_DIFFERENCES + 1);
        assert!(told.last().is_some_and(|last| last.starts_with("and there may be more")), "{told:?}");
        let few = MAX_DIFFERENCES - 1;
        assert_eq!(words(list(1, few), list(2, few)).len(), few);
    }
}
