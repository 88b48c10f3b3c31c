use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mesh_schemas::{
    DATAREF, DataRef, Decoded, Envelope, EnvelopeError, Namespace, StoredMessage, Subject, TaskKey,
};
use serde_json::{Map, Value, json};

use super::merge::Placed;
use crate::output::Output;
use crate::text;

/// An event as it is printed: a line for people, the event as it is stored for programs.
pub(super) fn rendered(namespace: &Namespace, event: &Placed, output: Output) -> anyhow::Result<String> {
    let shown = Shown::of(namespace, &event.stored)?;
    output.rendered(&shown.value, || shown.line(namespace, &event.stored))
}

/// An event as it is shown.
pub(crate) struct Shown {
    /// For programs: as it is stored.
    pub(crate) value: Value,
    /// Its subject, if it is one that is known.
    pub(crate) subject: Option<Subject>,
    decoded: Option<Decoded>,
}

impl Shown {
    pub(crate) fn of(namespace: &Namespace, stored: &StoredMessage) -> serde_json::Result<Self> {
        let subject = Subject::parse(namespace, &stored.message.subject).ok();
        let is_letter = matches!(subject, Some(Subject::Dead { .. }));
        // The body of a dead letter may be anything, which is why it is one.
        let body: &[u8] = if is_letter { b"" } else { &stored.message.payload };
        let decoded = Envelope::decode(&stored.message.headers, body);
        let mut value = as_stored(stored, subject.as_ref(), &decoded)?;
        if let (true, Value::Object(letter)) = (is_letter, &mut value) {
            add_body(letter, &stored.message.payload);
        }
        Ok(Self { value, subject, decoded: decoded.ok() })
    }

    /// One line: when, what, which run, and the rest of the subject.
    fn line(&self, namespace: &Namespace, stored: &StoredMessage) -> String {
        let time = text::clock(stored.time);
        let Some(subject) = &self.subject else {
            return format!("{time}  {:<20}  {}", "?", text::one_line(&stored.message.subject));
        };
        let run = subject.run().map(|run| format!("{run}  ")).unwrap_or_default();
        let line = format!("{time}  {:<20}  {run}{}", subject.event_type(), self.detail(namespace));
        line.trim_end().to_owned()
    }

    /// What it says beside its type and its run, for people.
    pub(crate) fn detail(&self, namespace: &Namespace) -> String {
        let event = self.decoded.as_ref();
        let data = event.map_or(&Value::Null, Decoded::data);
        let detail = self.subject.as_ref().map(|subject| detail(namespace, subject, event, data));
        let detail = text::one_line(&detail.unwrap_or_default());
        let elsewhere = event.and_then(Decoded::envelope).map(elsewhere).unwrap_or_default();
        format!("{detail}{elsewhere}{}", error(data))
    }

    /// The event that led to it.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.decoded.as_ref()?.envelope()?.causationid.as_deref()
    }
}

/// A CloudEvent as it is. JSON without an envelope gets the id and type that its subject gives it, and what cannot be
/// read its id and what is wrong with it.
fn as_stored(
    stored: &StoredMessage,
    subject: Option<&Subject>,
    decoded: &Result<Decoded, EnvelopeError>,
) -> serde_json::Result<Value> {
    let id = &stored.message.subject;
    Ok(match decoded {
        Ok(Decoded::Event(event)) => serde_json::to_value(event)?,
        Ok(Decoded::Bare(data)) => {
            json!({ "id": id, "type": subject.map(Subject::event_type), "data": data })
        }
        Err(error) => {
            json!({ "id": id, "type": subject.map(Subject::event_type), "error": error.to_string() })
        }
    })
}

/// JSON if it is JSON, else text if it is text, else Base64, each where CloudEvents has it.
fn add_body(letter: &mut Map<String, Value>, body: &[u8]) {
    let as_text = || std::str::from_utf8(body).ok().map(Value::from);
    match serde_json::from_slice(body).ok().or_else(as_text) {
        Some(data) => letter.insert("data".to_owned(), data),
        None => {
            letter.remove("data");
            letter.insert("data_base64".to_owned(), STANDARD.encode(body).into())
        }
    };
}

/// The rest of a subject, and what the event says.
fn detail(namespace: &Namespace, subject: &Subject, event: Option<&Decoded>, data: &Value) -> String {
    let by = || by(namespace, event, data);
    match subject {
        Subject::Task { key, .. } if subject.event_type() == "task.created" => attempt(key),
        Subject::Task { key, .. } => format!("{}{}", attempt(key), by()),
        Subject::TaskAssigned { key, delivery } | Subject::TaskReleased { key, delivery } => {
            let again = if *delivery > 1 { format!(", delivery {delivery}") } else { String::new() };
            format!("{}{}{again}", attempt(key), by())
        }
        Subject::Workflow { workflow, .. } => {
            workflow.as_ref().map_or_else(|| "(one task)".to_owned(), ToString::to_string)
        }
        Subject::Signalled { signal, .. } => match data["reason"].as_str() {
            Some(reason) => format!("{signal}: {reason}"),
            None => signal.to_string(),
        },
        Subject::Pause { .. } => {
            let task = data["task"].as_str().map(|task| format!("before or at '{task}'"));
            data["reason"].as_str().map(ToOwned::to_owned).or(task).unwrap_or_default()
        }
        Subject::TaskRouted { task, .. } => {
            format!("{task}: {} at a time ({})", data["width"], data["mode"].as_str().unwrap_or("?"))
        }
        Subject::TimerFired { timer, .. } => timer.to_string(),
        Subject::Agent { agent, .. } => agent.to_string(),
        Subject::RequestRejected { name, .. } => {
            let name = name.as_ref().map_or("-", |name| name.as_str());
            format!("{name} {}", reasons(data))
        }
        Subject::Dead { .. } => letter(event.and_then(Decoded::envelope)),
        _ => String::new(),
    }
}

fn attempt(key: &TaskKey) -> String {
    format!("{} #{}", key.task, key.attempt)
}

/// Who wrote an event about a task, if it says so.
fn by(namespace: &Namespace, event: Option<&Decoded>, data: &Value) -> String {
    let source = event.and_then(Decoded::envelope).map(|event| event.source.as_str());
    match data["agent"].as_str() {
        Some(agent) => format!(" by {agent}"),
        None if source == Some(&mesh_orchestrator::source(namespace)) => " by the orchestrator".to_owned(),
        None => String::new(),
    }
}

/// That data of an event is elsewhere, and what of it.
fn elsewhere(event: &Envelope) -> String {
    let reference = event.extensions.get(DATAREF).and_then(Value::as_str);
    let reference = reference.and_then(|text| DataRef::parse(text).ok());
    let part = reference.map(|reference| reference.member.unwrap_or_else(|| "data".to_owned()));
    part.map(|part| format!("  ({part} by reference)")).unwrap_or_default()
}

fn error(data: &Value) -> String {
    let Value::Object(error) = &data["error"] else { return String::new() };
    let member = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("  {}", text::error(member("code"), member("message")))
}

/// Why a request was rejected.
fn reasons(data: &Value) -> String {
    let reasons = data["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str);
    format!("{}: {}", data["code"].as_str().unwrap_or_default(), reasons.collect::<Vec<_>>().join("; "))
}

/// What a dead letter was about, and what is wrong with it.
fn letter(letter: Option<&Envelope>) -> String {
    let Some(letter) = letter else { return String::new() };
    let error = letter.extensions.get("error").and_then(Value::as_str).unwrap_or_default();
    format!("{}: {error}", letter.subject.as_deref().unwrap_or_default())
}
