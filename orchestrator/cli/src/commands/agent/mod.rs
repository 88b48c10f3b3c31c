mod list;

use clap::Subcommand;

use crate::connection::Connection;
use crate::exit::Outcome;

#[derive(Subcommand)]
pub(crate) enum Agent {
    List(list::List),
}

impl Agent {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        match self {
            Self::List(list) => list.run(connection).await,
        }
    }
}
