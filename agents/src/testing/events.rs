use std::fmt;
use std::ops::Deref;

use super::event::Event;
use super::pattern::Pattern;
use super::story::Story;

/// The events of a run so far, in order; a slice of them for whatever is not asserted here. An event is described by its
/// type, its task and its attempt, or the beginning of that: `task.created`, `task.created risk`, `task.created risk 2`.
/// Each assertion panics if it does not hold, and shows what happened.
#[derive(Debug, Clone)]
pub struct Events {
    pub(super) story: Story,
    pub(super) tasks: Option<Vec<String>>,
}

impl Events {
    /// These came in this order. Others may have come before, between and after them.
    #[track_caller]
    pub fn in_order<'a>(&self, expected: impl IntoIterator<Item = &'a str>) -> &Self {
        let mut rest = self.story.events.iter();
        let mut before: Option<Pattern> = None;
        for text in expected {
            let pattern = self.pattern(text);
            if !rest.any(|event| pattern.matches(event)) {
                match before {
                    Some(before) => self.story.fail(format!("expected '{pattern}' after '{before}'")),
                    None => self.story.fail(format!("expected '{pattern}', and it did not happen")),
                }
            }
            before = Some(pattern);
        }
        self
    }

    /// This happened.
    #[track_caller]
    pub fn include(&self, expected: &str) -> &Self {
        self.in_order([expected])
    }

    /// This did not happen.
    #[track_caller]
    pub fn do_not_include(&self, unexpected: &str) -> &Self {
        let pattern = self.pattern(unexpected);
        if let Some(event) = self.story.events.iter().find(|event| pattern.matches(event)) {
            self.story.fail(format!("expected no '{pattern}', but there is one:\n  {event}"));
        }
        self
    }

    /// This happened so often.
    #[track_caller]
    pub fn include_exactly(&self, times: usize, expected: &str) -> &Self {
        let pattern = self.pattern(expected);
        let found = self.story.events.iter().filter(|event| pattern.matches(event)).count();
        if found != times {
            self.story.fail(format!("expected '{pattern}' {times} times, but it happened {found} times"));
        }
        self
    }

    /// Something of your own holds, which `what` says in words.
    #[track_caller]
    pub fn satisfy(&self, what: &str, holds: impl FnOnce(&[Event]) -> bool) -> &Self {
        if !holds(&self.story.events) {
            self.story.fail(format!("expected {what}"));
        }
        self
    }

    #[track_caller]
    fn pattern(&self, text: &str) -> Pattern {
        match Pattern::new(text, self.tasks.as_deref()) {
            Ok(pattern) => pattern,
            Err(wrong) => self.story.fail(wrong),
        }
    }
}

impl Deref for Events {
    type Target = [Event];

    fn deref(&self) -> &[Event] {
        &self.story.events
    }
}

impl fmt::Display for Events {
    /// A line for each event.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.story.fmt(f)
    }
}
