use std::collections::VecDeque;

use chrono::SecondsFormat;
use clap::Args;
use clap::builder::PossibleValuesParser;
use futures::StreamExt as _;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, From, Reason};

use super::body::plain;
use super::letter::Letter;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};

/// Longest error in a table, in characters; `mesh dead show` has all of it.
const WIDEST_ERROR: usize = 60;

/// List messages that nobody could deal with, the newest last
#[derive(Args)]
pub(crate) struct List {
    /// Only messages that were found in this stream
    #[arg(long, value_parser = PossibleValuesParser::new(Stream::ALL.map(Stream::short_name)))]
    stream: Option<String>,
    /// Only messages that were put aside for this reason
    #[arg(long, value_parser = PossibleValuesParser::new(Reason::ALL.map(Reason::as_str)))]
    reason: Option<String>,
    /// At most this many, the newest
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    output: Output,
}

impl List {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus = connection.connect().await?;
        let any = |token: &Option<String>| token.clone().unwrap_or_else(|| "*".to_owned());
        let filter = format!("{}.dead.{}.{}", bus.namespace(), any(&self.stream), any(&self.reason));
        let mut messages = bus.follow(Stream::Dead, vec![filter], From::Begin).await?;
        let limit = self.limit as usize;
        let mut newest: VecDeque<Letter> = VecDeque::new();
        let mut count = 0_usize;
        while let Some(stored) = messages.next().await.transpose()?.flatten() {
            count += 1;
            if newest.len() == limit {
                newest.pop_front();
            }
            newest.push_back(Letter::read(bus.namespace(), &stored));
        }
        self.output.document(&newest, || {
            let rows: Vec<_> = newest.iter().map(row).collect();
            output::table(["N", "TIME", "STREAM", "REASON", "SUBJECT", "ERROR"], &rows)
        })?;
        if count > limit {
            eprintln!("the newest {limit} of {count}; --limit shows more");
        }
        Ok(Outcome::Done)
    }
}

fn row(letter: &Letter) -> [String; 6] {
    [
        letter.sequence.to_string(),
        letter.time.to_rfc3339_opts(SecondsFormat::Secs, true),
        letter.stream.clone(),
        letter.reason.clone(),
        plain(letter.subject.as_deref().unwrap_or_default()),
        glance(letter.error.as_deref().unwrap_or_default()),
    ]
}

/// The beginning of a text in one line.
fn glance(text: &str) -> String {
    let line = plain(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= WIDEST_ERROR {
        return line;
    }
    line.chars().take(WIDEST_ERROR - 1).chain(['…']).collect()
}
