use clap::Args;
use mesh_bus::Bus as _;
use mesh_bus::topology::Stream;
use serde::Serialize;

use super::filters::Which;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};
use crate::words::count;

/// Remove dead letters for good: those of these numbers, those that pass the filters, or all
#[derive(Args)]
pub(crate) struct Drop {
    #[command(flatten)]
    which: Which,
    /// Only say which would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Dropped {
    letter: u64,
    result: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Fate {
    Dropped,
    /// It would be, if this were no dry run.
    WouldDrop,
    /// It is not there, or somebody else was quicker.
    Gone,
}

impl Drop {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus = connection.connect().await?;
        let (mut dropped, mut gone) = (0_u64, 0_u64);
        for letter in self.which.numbers(&bus).await? {
            let is_there = if self.dry_run {
                bus.at(Stream::Dead, letter).await?.is_some()
            } else {
                bus.remove(Stream::Dead, letter).await?
            };
            let result = match is_there {
                false => Fate::Gone,
                true if self.dry_run => Fate::WouldDrop,
                true => Fate::Dropped,
            };
            *(if is_there { &mut dropped } else { &mut gone }) += 1;
            self.output.item(&Dropped { letter, result }, || Ok(output::line(&told(letter, result))?))?;
        }
        let done = if self.dry_run { "would be dropped" } else { "dropped" };
        let missing = if gone == 0 { String::new() } else { format!(", {gone} not there") };
        eprintln!("{} {done}{missing}", count(dropped, "letter"));
        Ok(if gone == 0 { Outcome::Done } else { Outcome::Error })
    }
}

fn told(letter: u64, fate: Fate) -> String {
    match fate {
        Fate::Dropped => format!("dropped {letter}"),
        Fate::WouldDrop => format!("would drop {letter}"),
        Fate::Gone => format!("{letter} is not there: `mesh dead list` shows those there are"),
    }
}
