use std::env;
use std::io::{self, IsTerminal as _};
use std::str::FromStr;

use tracing::Subscriber;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::init::is_set;

/// In which form log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogForm {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object on each line, with `timestamp`, `level`, `target`, `message`, what the line tells beside
    /// and, under `spans`, of which run and task it is, and what the handler is at.
    Json,
}

impl LogForm {
    /// As `MESH_LOG_FORMAT` says, text if it says nothing that is known; and what is wrong with it, if something is.
    pub(crate) fn from_env() -> (Self, Option<String>) {
        Self::read(&env::var("MESH_LOG_FORMAT").unwrap_or_default())
    }

    fn read(form: &str) -> (Self, Option<String>) {
        if form.is_empty() {
            return (Self::Text, None);
        }
        match form.parse() {
            Ok(form) => (form, None),
            Err(error) => {
                (Self::Text, Some(format!("MESH_LOG_FORMAT is {form:?}: {error}; lines are written as text")))
            }
        }
    }

    /// What writes lines of this form to stderr.
    pub(crate) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(self) -> Box<dyn Layer<S> + Send + Sync> {
        let stderr = io::stderr;
        let colours = self == Self::Text && stderr().is_terminal() && !is_set("NO_COLOR");
        let lines = tracing_subscriber::fmt::layer().with_writer(stderr).with_ansi(colours);
        match self {
            Self::Text => lines.boxed(),
            Self::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
        }
    }
}

impl FromStr for LogForm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("use text or json".to_owned()),
        }
    }
}

#[cfg(test)]
#[test]
fn a_form_that_is_not_known_is_said() {
    assert_eq!(LogForm::read(""), (LogForm::Text, None));
    assert_eq!(LogForm::read("json"), (LogForm::Json, None));
    let (form, error) = LogForm::read("xml");
    assert_eq!(form, LogForm::Text);
    assert_eq!(
        error.as_deref(),
        Some(r#"MESH_LOG_FORMAT is "xml": use text or json; lines are written as text"#)
    );
}
