//! A collector of spans, as a process of its own, and what it was sent.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::process::beside_tests;
use crate::world::patiently;

/// A span, as the collector prints it.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "each field is what OpenTelemetry calls so")]
pub struct Span {
    pub trace: String,
    pub id: String,
    /// Empty for the first of a trace.
    pub parent: String,
    pub service: String,
    pub name: String,
    pub kind: String,
    pub begin_ns: u64,
    pub end_ns: u64,
    pub attributes: BTreeMap<String, Value>,
    /// Ids of the spans that it is linked to.
    pub links: Vec<String>,
    pub events: Vec<Value>,
    /// What is said of its error, if it is one.
    pub error: Option<String>,
}

impl Span {
    /// An attribute as text; empty if it is not there.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.attributes.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The operation of the convention, and the type of the message that it is about: `create task.created`.
    #[must_use]
    pub fn short_name(&self) -> &str {
        let second = self.name.match_indices('.').nth(1).map(|(place, _)| place);
        second.map_or(&*self.name, |place| &self.name[..place])
    }
}

/// Takes spans until it is dropped.
#[derive(Debug)]
pub struct Collector {
    child: Child,
    endpoint: String,
    spans: Arc<Mutex<Vec<Span>>>,
    count: watch::Receiver<usize>,
}

impl Collector {
    /// Starts it at a port of its own.
    ///
    /// # Errors
    /// If the program is not there, or does not listen.
    pub fn start() -> Result<Self> {
        let mut child = Command::new(beside_tests("collector")?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the collector")?;
        let mut lines = BufReader::new(child.stdout.take().context("a pipe")?);
        let mut first = String::new();
        lines.read_line(&mut first)?;
        let listens: Value = serde_json::from_str(&first)?;
        let endpoint = format!("http://{}", listens["listens"].as_str().context("an address")?);
        let spans = Arc::new(Mutex::new(Vec::new()));
        let (told, count) = watch::channel(0);
        let taken = Arc::clone(&spans);
        std::thread::spawn(move || take(lines, &taken, &told));
        Ok(Self { child, endpoint, spans, count })
    }

    /// What makes a process send its spans here, at once.
    #[must_use]
    pub fn variables(&self) -> Vec<(&str, &str)> {
        vec![("OTEL_EXPORTER_OTLP_ENDPOINT", &self.endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "50")]
    }

    /// What it was sent so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until what was sent is enough.
    ///
    /// # Errors
    /// If it never is; the error says what was sent.
    pub async fn until(&self, what: &str, is_enough: impl Fn(&[Span]) -> bool) -> Result<Vec<Span>> {
        let mut count = self.count.clone();
        let waited = async {
            loop {
                count.borrow_and_update();
                let spans = self.spans();
                if is_enough(&spans) {
                    return Ok(spans);
                }
                count.changed().await.context("the collector ended")?;
            }
        };
        let found = patiently(what, waited).await.and_then(|found| found);
        found.with_context(|| {
            let names: Vec<String> = self.spans().iter().map(|span| span.short_name().to_owned()).collect();
            format!("the collector has {names:?}")
        })
    }
}

fn take(lines: BufReader<ChildStdout>, spans: &Mutex<Vec<Span>>, told: &watch::Sender<usize>) {
    for line in lines.lines().map_while(Result::ok) {
        let Ok(span) = serde_json::from_str(&line) else { continue };
        spans.lock().unwrap_or_else(PoisonError::into_inner).push(span);
        told.send_modify(|count| *count += 1);
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
