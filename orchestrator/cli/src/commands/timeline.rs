use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::Args;
use mesh_bus::{Bus, history};
use mesh_schemas::{ErrorCode, Namespace, RunId};
use serde::Serialize;
use serde_json::{Value, json};

use super::events::{self, Placed, Shown};
use super::runs::unknown;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::select::RunSelector;
use crate::text;
use crate::words::count;

/// Show all that happened in a run, in order, with what led to it, and whether its history is as it was archived
#[derive(Args)]
pub(crate) struct Timeline {
    /// The run: its id, the beginning of it, or @last
    run: RunSelector,
    /// Follow the chain of hashes of the archived run: name whatever was changed, left out or moved since
    #[arg(long)]
    verify: bool,
    /// With --verify: the last link as somebody noted it, without which a history that was written anew, with all its links,
    /// looks right
    #[arg(long, value_name = "LINK", requires = "verify")]
    head: Option<String>,
    #[command(flatten)]
    output: Output,
}

/// An event of a run, as programs are shown it.
#[derive(Serialize)]
struct Entry<'a> {
    /// Its place, from 1.
    number: u64,
    /// Milliseconds since the first event.
    after_ms: u64,
    time: DateTime<Utc>,
    stream: &'a str,
    sequence: u64,
    /// The place of the event that led to it, if that is one of the run.
    cause: Option<u64>,
    event: &'a Value,
}

/// The events so far.
#[derive(Default)]
struct Entries {
    first: Option<DateTime<Utc>>,
    numbers: BTreeMap<String, u64>,
}

impl Timeline {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus: Arc<dyn Bus> = Arc::new(connection.connect().await?);
        let run = self.run.resolve(&*bus).await?;
        let mut entries = Entries::default();
        let show = async |event| entries.show(bus.namespace(), &event, self.output);
        events::each_of_run(&*bus, run, show).await?;
        if entries.first.is_none() {
            return Err(unknown(bus, run).await);
        }
        if self.verify { self.verified(&*bus, run).await } else { Ok(Outcome::Done) }
    }

    /// Says whether the history is as it was archived.
    async fn verified(&self, bus: &dyn Bus, run: RunId) -> anyhow::Result<Outcome> {
        let messages = bus.read_history(&run).await?;
        if messages.is_empty() {
            let message = format!(
                "run {run} is not archived, so there is no chain to follow: that is done some time after it has ended (`--grace` of \
                 orchestrators)"
            );
            return Err(Failure::new(ErrorCode::UnknownObject, message).into());
        }
        let audit = history::audit(bus.namespace(), &run, &messages);
        let mut faults: Vec<String> = audit.faults.iter().map(ToString::to_string).collect();
        if let Some(head) = self.head.as_ref().filter(|head| **head != audit.head) {
            faults.push(format!("the last link is {}, and not {head}", audit.head));
        }
        if !faults.is_empty() {
            let message = format!("the history of run {run} was altered:\n  {}", faults.join("\n  "));
            return Err(Failure::new(ErrorCode::AlteredHistory, message).into());
        }
        let verified =
            json!({ "verified": { "pieces": audit.pieces, "late": audit.late, "head": audit.head } });
        self.output.item(&verified, || {
            let late = if audit.late > 0 { format!(" and {} late", audit.late) } else { String::new() };
            let what = count(audit.pieces, "entry");
            Ok(output::line(&format!("verified: {what}{late}, unchanged; the last link is {}", audit.head))?)
        })?;
        Ok(Outcome::Done)
    }
}

impl Entries {
    fn show(&mut self, namespace: &Namespace, event: &Placed, output: Output) -> anyhow::Result<()> {
        let stored = &event.stored;
        let shown = Shown::of(namespace, stored)?;
        let number = self.numbers.len() as u64 + 1;
        self.numbers.insert(stored.message.subject.clone(), number);
        let first = *self.first.get_or_insert(stored.time);
        let cause = shown.cause().and_then(|cause| self.numbers.get(cause)).copied();
        let entry = Entry {
            number,
            after_ms: text::millis(first, stored.time),
            time: stored.time,
            stream: event.stream().short_name(),
            sequence: stored.sequence,
            cause,
            event: &shown.value,
        };
        output.item(&entry, || {
            let kind =
                shown.subject.as_ref().map_or_else(|| "?".to_owned(), mesh_schemas::Subject::event_type);
            let cause = cause.map(|cause| format!("  <- {cause}")).unwrap_or_default();
            let after = entry.after_ms as f64 / 1_000.0;
            let line = format!("{number:>4}  {after:>+9.3}s  {kind:<20}  {}{cause}", shown.detail(namespace));
            Ok(output::line(line.trim_end())?)
        })
    }
}
