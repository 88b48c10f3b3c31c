use std::collections::BTreeMap;

use chrono::SecondsFormat;
use clap::Args;
use mesh_bus::Bus;
use mesh_bus::topology::Stream;
use mesh_schemas::{ErrorCode, Message, StoredMessage, percent_decode};
use serde::Serialize;

use super::body::{Body, plain};
use super::letter::Letter;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::{self, Output};

/// Show a message that nobody could deal with
#[derive(Args)]
pub(crate) struct Show {
    /// Its number, as `mesh dead list` shows it
    #[arg(value_name = "N")]
    number: u64,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    letter: Letter,
    /// The message's own headers, and its attributes as a letter (`ce-…`), as they are stored.
    headers: BTreeMap<String, Vec<String>>,
    body: Option<Body>,
}

impl Show {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus = connection.connect().await?;
        let Some(stored) = bus.at(Stream::Dead, self.number).await? else {
            return not_there(&bus, self.number).await;
        };
        let letter = Letter::read(bus.namespace(), &stored);
        let original = letter.message(&bus, &stored).await?;
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in stored.message.headers.iter() {
            headers.entry(name.to_owned()).or_default().push(value.to_owned());
        }
        let body = original.as_ref().map(|message| Body::read(&message.payload));
        let shown = Shown { letter, headers, body };
        self.output.document(&shown, || print(&shown, original.as_ref()))?;
        Ok(Outcome::Done)
    }
}

/// There is no letter of this number.
async fn not_there(bus: &dyn Bus, number: u64) -> anyhow::Result<Outcome> {
    let last: Option<StoredMessage> = bus.last(Stream::Dead, &format!("{}.dead.>", bus.namespace())).await?;
    let those = match last {
        Some(last) => format!("the newest is {}, and `mesh dead list` shows those there are", last.sequence),
        None => "there are none".to_owned(),
    };
    Err(Failure::new(ErrorCode::UnknownObject, format!("there is no dead letter {number}: {those}")).into())
}

fn print(shown: &Shown, original: Option<&Message>) -> anyhow::Result<()> {
    let letter = &shown.letter;
    let found = match letter.original_sequence {
        Some(sequence) => format!("{}, number {sequence}", letter.stream),
        None => letter.stream.clone(),
    };
    let facts = [
        ("letter", Some(letter.sequence.to_string())),
        ("time", Some(letter.time.to_rfc3339_opts(SecondsFormat::Millis, true))),
        ("reason", Some(letter.reason.clone())),
        ("error", letter.error.clone()),
        ("subject", letter.subject.clone()),
        ("found in", Some(found)),
        ("run", letter.run.map(|run| run.to_string())),
        ("belongs to", letter.correlation_id.clone()),
        ("stored at", letter.dataref.clone()),
        ("size", Some(format!("{} bytes", original.map_or(letter.size, |message| message.payload.len())))),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            output::line(&format!("{name:<10}  {}", plain(&value).replace('\n', "\n            ")))?;
        }
    }
    output::line("\nheaders")?;
    for (name, values) in &shown.headers {
        for value in values {
            // The binary mode of CloudEvents encodes what no header may have in it.
            let value = if name.starts_with("ce-") { percent_decode(value) } else { value.clone() };
            output::line(&format!("  {}: {}", plain(name), plain(&value)))?;
        }
    }
    output::line("\nbody")?;
    match (&shown.body, original) {
        (Some(body), Some(message)) => Ok(output::text(&body.shown(&message.payload))?),
        _ => Ok(output::line("(no longer where it was stored)")?),
    }
}
