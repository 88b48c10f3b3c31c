mod apply;
mod delete;
mod graph;
mod list;
mod registered;
mod show;
mod source;
mod test;
mod validate;

use clap::Subcommand;

use crate::connection::Connection;
use crate::exit::Outcome;

pub(crate) use registered::not_registered;
pub(crate) use source::Source;

#[derive(Subcommand)]
pub(crate) enum Workflow {
    Validate(validate::Validate),
    Test(test::Test),
    Apply(apply::Apply),
    List(list::List),
    Show(show::Show),
    Graph(graph::Graph),
    Delete(delete::Delete),
}

impl Workflow {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        match self {
            Self::Validate(validate) => validate.run(),
            Self::Test(test) => test.run(connection).await,
            Self::Apply(apply) => apply.run(connection).await,
            Self::List(list) => list.run(connection).await,
            Self::Show(show) => show.run(connection).await,
            Self::Graph(graph) => graph.run(connection).await,
            Self::Delete(delete) => delete.run(connection).await,
        }
    }
}
