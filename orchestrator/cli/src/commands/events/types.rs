//! Types of events, as people name them.

use std::str::FromStr;

use mesh_schemas::document::nearest;
use mesh_schemas::generate::catalogue::{EVENTS, EventType};

/// Streams that keep what happened. What is in the inbox is gone as soon as it is taken up.
const KEPT: [&str; 4] = ["EVENTS", "TASKS", "NOTES", "DEAD"];

/// The types that one argument names.
#[derive(Debug, Clone)]
pub(super) struct Types(Vec<&'static EventType>);

impl FromStr for Types {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(kind) = text.strip_suffix(".*") {
            let named: Vec<_> =
                kept().filter(|event| event.name.split_once('.').is_some_and(|(of, _)| of == kind)).collect();
            return if named.is_empty() { Err(unknown(text)) } else { Ok(Self(named)) };
        }
        let Some(event) = EVENTS.iter().find(|event| event.name == text) else { return Err(unknown(text)) };
        match event.stream {
            Some(stream) if KEPT.contains(&stream) => Ok(Self(vec![event])),
            Some("HISTORY") => {
                Err("what is archived of a run is shown as its events: `mesh events --run RUN`".to_owned())
            }
            Some(_) => Err(format!("events of the type {text} are gone as soon as they are taken up")),
            None => Err(format!(
                "events of the type {text} are not kept: `nats sub '*.{text}.>'` shows them as they pass"
            )),
        }
    }
}

/// All types that are named, each once; every type that is kept if none is.
pub(super) fn all(named: &[Types]) -> Option<Vec<&'static EventType>> {
    if named.is_empty() {
        return None;
    }
    let is_named =
        |event: &&EventType| named.iter().any(|types| types.0.iter().any(|known| known.name == event.name));
    Some(kept().filter(is_named).collect())
}

/// Every type that is kept.
pub(super) fn kept() -> impl Iterator<Item = &'static EventType> {
    EVENTS.iter().filter(|event| event.stream.is_some_and(|stream| KEPT.contains(&stream)))
}

fn unknown(text: &str) -> String {
    let mut known: Vec<String> = kept().map(|event| event.name.to_owned()).collect();
    let kinds = kept().filter_map(|event| Some(format!("{}.*", event.name.split_once('.')?.0)));
    for kind in kinds.collect::<Vec<_>>() {
        if !known.contains(&kind) {
            known.push(kind);
        }
    }
    let kind = format!("{text}.*");
    let near = known.iter().find(|known| **known == kind).map(String::as_str);
    match near.or_else(|| nearest(text, known.iter().map(String::as_str))) {
        Some(near) => format!("no event has this type: did you mean {near}?"),
        None => format!("no event has this type: use {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Result<Vec<&'static str>, String> {
        text.parse::<Types>().map(|types| types.0.iter().map(|event| event.name).collect())
    }

    #[test]
    fn types_are_named_alone_or_by_kind() {
        assert_eq!(named("task.completed").unwrap(), ["task.completed"]);
        assert_eq!(named("dead").unwrap(), ["dead"]);
        let tasks = named("task.*").unwrap();
        assert_eq!(
            tasks,
            [
                "task.created",
                "task.completed",
                "task.failed",
                "task.assigned",
                "task.routed",
                "task.released"
            ]
        );
    }

    #[test]
    fn what_is_not_a_type_is_told_with_the_nearest() {
        for (text, near) in [
            ("task.complete", "task.completed?"),
            ("tsak.*", "task.*?"),
            ("task", "task.*?"),
            ("x", "use workflow.started, "),
            ("task.progress", "not kept"),
            ("timer.due", "gone as soon as"),
        ] {
            let error = named(text).unwrap_err();
            assert!(error.contains(near), "{text}: {error}");
        }
    }

    #[test]
    fn several_types_are_one_selection() {
        let types: Vec<Types> = ["task.*", "task.failed", "dead"].map(|text| text.parse().unwrap()).into();
        let names: Vec<_> = all(&types).unwrap().iter().map(|event| event.name).collect();
        assert_eq!(names.len(), 7, "{names:?}");
        assert!(all(&[]).is_none());
    }
}
