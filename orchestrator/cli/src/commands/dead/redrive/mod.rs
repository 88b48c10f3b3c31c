mod act;
mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;
use mesh_bus::Bus;
use mesh_bus::topology::Stream;
use mesh_schemas::{RunId, StoredMessage};
use serde::Serialize;

use super::body::plain;
use super::filters::Which;
use super::letter::Letter;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};
use crate::words::count;
use act::Acted;
use plan::{Plan, Planner};

/// Have dead letters dealt with after all: those of these numbers, those that pass the filters, or all
///
/// What is dealt with is removed from the dead letters; what cannot be dealt with stays, and is told with the reason. Doing
/// it again, or twice at once, changes nothing more.
#[derive(Args)]
pub(crate) struct Redrive {
    #[command(flatten)]
    which: Which,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

/// What became of one letter.
#[derive(Serialize)]
struct Redriven {
    letter: u64,
    result: Fate,
    /// The run that has begun, or that the message was sent to.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
    /// What was done, or why nothing was.
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Fate {
    /// It is dealt with, and the letter is gone.
    Redriven,
    /// It could be sent, if this were no dry run.
    WouldRedrive,
    /// It cannot be dealt with. The letter stays, unless it was put aside anew.
    Refused,
    /// It was sent, and nobody has taken it up. The letter stays.
    Untaken,
    /// The letter is not there, or somebody else was quicker.
    Gone,
}

impl Redrive {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus: Arc<dyn Bus> = Arc::new(connection.connect().await?);
        let planner = Planner::new(Arc::clone(&bus));
        let mut fates: BTreeMap<Fate, u64> = BTreeMap::new();
        for number in self.which.numbers(&*bus).await? {
            let done = match bus.at(Stream::Dead, number).await? {
                None => gone(number),
                Some(stored) => redrive(&bus, &planner, &stored, self.dry_run).await?,
            };
            *fates.entry(done.result).or_default() += 1;
            let line = || Ok(output::line(&format!("{number}: {}", plain(&done.message)))?);
            self.output.item(&done, line)?;
            if done.result == Fate::Untaken {
                eprintln!(
                    "stopped: start an orchestrator (`mesh doctor` shows those there are), then redrive the rest"
                );
                break;
            }
        }
        eprintln!("{}", summary(&fates));
        let is_well = |fate: &Fate| matches!(fate, Fate::Redriven | Fate::WouldRedrive);
        Ok(if fates.keys().all(is_well) { Outcome::Done } else { Outcome::Error })
    }
}

async fn redrive(
    bus: &Arc<dyn Bus>,
    planner: &Planner,
    stored: &StoredMessage,
    dry_run: bool,
) -> anyhow::Result<Redriven> {
    let letter = Letter::read(bus.namespace(), stored);
    let number = letter.sequence;
    let told = |result, run, message| Redriven { letter: number, result, run, message };
    Ok(match planner.plan(&letter, stored).await? {
        Plan::Refuse(reason) => told(Fate::Refused, None, reason),
        Plan::Send(send) if dry_run => {
            told(Fate::WouldRedrive, Some(send.run), format!("would {}", send.purpose()))
        }
        Plan::Send(send) => match act::send(&**bus, &send).await? {
            Acted::Done => {
                // After what it led to is stored, and not before: who is interrupted here does it again, to no effect.
                bus.remove(Stream::Dead, number).await?;
                told(Fate::Redriven, Some(send.run), send.done())
            }
            Acted::AsideAgain(reason) => {
                bus.remove(Stream::Dead, number).await?;
                told(Fate::Refused, None, format!("it was put aside again, as another letter: {reason}"))
            }
            Acted::Refused(reason) => told(Fate::Refused, None, reason),
            Acted::Untaken => told(
                Fate::Untaken,
                Some(send.run),
                format!(
                    "sent, to {}; but no orchestrator has taken it up so far, so the letter stays",
                    send.purpose()
                ),
            ),
        },
    })
}

fn gone(letter: u64) -> Redriven {
    let message = "it is not there: `mesh dead list` shows those there are".to_owned();
    Redriven { letter, result: Fate::Gone, run: None, message }
}

fn summary(fates: &BTreeMap<Fate, u64>) -> String {
    let parts = fates.iter().map(|(fate, number)| match fate {
        Fate::Redriven => format!("{} redriven", count(*number, "letter")),
        Fate::WouldRedrive => format!("{} would be redriven", count(*number, "letter")),
        Fate::Refused => format!("{number} refused"),
        Fate::Untaken => format!("{number} sent and not taken up"),
        Fate::Gone => format!("{number} not there"),
    });
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { "no letters".to_owned() } else { parts.join(", ") }
}
