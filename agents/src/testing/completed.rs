use std::time::Duration;

use mesh_schemas::payload::TaskCompleted;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::difference::{Compare, differences};
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
        compare(&self.story, "output", &expected, &self.output, Compare::Whole);
        self
    }

    /// The output is this where something is said here; objects may have more fields.
    #[track_caller]
    pub fn with_output_including(&self, expected: impl Serialize) -> &Self {
        compare(&self.story, "output", &expected, &self.output, Compare::Part);
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
        compare(&self.story, "output", &expected, &self.data.output, Compare::Whole);
        self
    }

    /// What the agent returned is this where something is said here; objects may have more fields.
    #[track_caller]
    pub fn with_output_including(&self, expected: impl Serialize) -> &Self {
        compare(&self.story, "output", &expected, &self.data.output, Compare::Part);
        self
    }

    /// The agent holds the result to be this good, from 0 to 1.
    #[track_caller]
    pub fn with_quality(&self, expected: f64) -> &Self {
        compare(&self.story, "quality", &expected, &Value::from(self.data.quality), Compare::Whole);
        self
    }

    /// The agent says that the work consumed exactly this.
    #[track_caller]
    pub fn with_usage(&self, expected: impl Serialize) -> &Self {
        let usage = self.data.usage.clone().unwrap_or_default();
        compare(&self.story, "usage", &expected, &usage, Compare::Whole);
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
pub(super) fn compare(story: &Story, what: &str, expected: &impl Serialize, actual: &Value, how: Compare) {
    let expected = match serde_json::to_value(expected) {
        Ok(expected) => expected,
        Err(error) => story.fail(format!("the expected {what} cannot be written as JSON: {error}")),
    };
    let differences = differences(&expected, actual, how);
    if !differences.is_empty() {
        story.fail(format!("the {what} is not as expected\n  {}", differences.join("\n  ")));
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
