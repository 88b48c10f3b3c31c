use std::collections::VecDeque;

use chrono::SecondsFormat;
use clap::Args;

use super::body::plain;
use super::filters::Filters;
use super::letter::Letter;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};

/// Longest error in a table, in characters; `mesh dead show` has all of it.
const WIDEST_ERROR: usize = 60;

/// List messages that nobody could deal with, the newest last
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    filters: Filters,
    /// At most this many, the newest
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    output: Output,
}

impl List {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus = connection.connect().await?;
        let limit = self.limit as usize;
        let mut newest: VecDeque<Letter> = VecDeque::new();
        let mut count = 0_usize;
        let keep = |letter: Letter| {
            count += 1;
            if newest.len() == limit {
                newest.pop_front();
            }
            newest.push_back(letter);
        };
        self.filters.each(&bus, keep).await?;
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
