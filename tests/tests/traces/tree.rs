//! Spans as text that is the same for every run of a workflow.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use mesh_tests::Span;

/// Timers of which it depends on the speed of the machine whether they come due before the end of the run.
const UNCERTAIN: [&str; 3] = ["deadline", "join-", "grace-"];

/// The name of the span for reading a run from the log.
pub(crate) const READ_RUN: &str = "read run";

/// The spans as a tree, each with what it is linked to, and then which attributes each has that has a name.
pub(crate) fn drawn(spans: &[Span]) -> String {
    let tree = Tree::new(spans);
    let mut text = String::new();
    tree.draw("", 0, &mut text);
    text.push_str("\nattributes\n");
    for ((name, kind), attributes) in attributes(spans) {
        let attributes: Vec<&str> = attributes.into_iter().collect();
        let _ = writeln!(text, "  {name} ({kind}): {}", attributes.join(" "));
    }
    text
}

struct Tree<'a> {
    spans: BTreeMap<&'a str, &'a Span>,
    children: BTreeMap<&'a str, Vec<&'a Span>>,
}

impl<'a> Tree<'a> {
    fn new(spans: &'a [Span]) -> Self {
        let by_id: BTreeMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
        let mut children: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
        for span in spans.iter().filter(|span| !is_uncertain(span, &by_id)) {
            children.entry(&span.parent).or_default().push(span);
        }
        for siblings in children.values_mut() {
            siblings.sort_by_key(|span| label(span));
        }
        Self { spans: by_id, children }
    }

    fn draw(&self, parent: &str, depth: usize, text: &mut String) {
        for span in self.children.get(parent).into_iter().flatten() {
            let mut links: Vec<String> = span
                .links
                .iter()
                .map(|link| {
                    self.spans.get(link.as_str()).map_or_else(|| "?".to_owned(), |to| label_of_link(to))
                })
                .collect();
            links.sort();
            let links = if links.is_empty() { String::new() } else { format!(" <- {}", links.join(", ")) };
            let error =
                span.error.as_ref().map_or_else(String::new, |_| format!(" !{}", span.text("error.type")));
            let _ = writeln!(text, "{}{} [{}]{error}{links}", "  ".repeat(depth), label(span), span.service);
            self.draw(&span.id, depth + 1, text);
        }
    }
}

/// Which of several that were waited for came last is a matter of speed.
fn label_of_link(span: &Span) -> String {
    if span.name.starts_with("process ") { span.short_name().to_owned() } else { label(span) }
}

fn label(span: &Span) -> String {
    let mut label = span.short_name().to_owned();
    if let Some(attempt) =
        span.attributes.get("mesh.attempt").filter(|_| !span.text("mesh.task.id").is_empty())
    {
        let _ = write!(label, " {}#{attempt}", span.text("mesh.task.id"));
    }
    let timer = span.text("mesh.timer");
    if !timer.is_empty() {
        let _ = write!(label, " {timer}");
    }
    label
}

/// Whether a span is, or stands below, the coming due of a timer that may or may not come due.
fn is_uncertain(span: &Span, spans: &BTreeMap<&str, &Span>) -> bool {
    if is_deadline(span) {
        return true;
    }
    let mut above = spans.get(span.parent.as_str());
    while let Some(parent) = above {
        let timer = parent.text("mesh.timer");
        if UNCERTAIN.iter().any(|uncertain| timer.starts_with(uncertain)) {
            return true;
        }
        above = spans.get(parent.parent.as_str());
    }
    // A run is read from the log whenever it is not in memory.
    span.name == READ_RUN
}

/// A deadline that is far off is set for a run that goes on for a while, which depends on the speed of the machine, too.
fn is_deadline(span: &Span) -> bool {
    span.text("mesh.timer") == "deadline"
}

fn attributes(spans: &[Span]) -> BTreeMap<(&str, &str), BTreeSet<&str>> {
    let mut found: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let comes_due = |span: &Span| span.name.contains("timer.due") || span.name.contains("timer.fired");
    for span in spans.iter().filter(|span| !comes_due(span) && !is_deadline(span)) {
        let of_name = found.entry((span.short_name(), &span.kind)).or_default();
        of_name.extend(span.attributes.keys().map(String::as_str).filter(|name| !is_of_library(name)));
    }
    found
}

/// What `tracing` adds of its own accord.
fn is_of_library(name: &str) -> bool {
    matches!(name, "busy_ns" | "idle_ns" | "target" | "level")
        || name.starts_with("code.")
        || name.starts_with("thread.")
}
