mod body;
mod discard;
mod filters;
mod letter;
mod list;
mod redrive;
mod show;

use clap::Subcommand;

use crate::connection::Connection;
use crate::exit::Outcome;

#[derive(Subcommand)]
pub(crate) enum Dead {
    List(list::List),
    Show(show::Show),
    Redrive(redrive::Redrive),
    Drop(discard::Drop),
}

impl Dead {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        match self {
            Self::List(list) => list.run(connection).await,
            Self::Show(show) => show.run(connection).await,
            Self::Redrive(redrive) => redrive.run(connection).await,
            Self::Drop(discard) => discard.run(connection).await,
        }
    }
}
