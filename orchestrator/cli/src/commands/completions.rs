use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Outcome;
use crate::output;

/// Print a script that completes commands in a shell
#[derive(Args)]
#[command(after_help = "For bash: mesh completions bash > ~/.local/share/bash-completion/completions/mesh")]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "mesh", &mut script);
        output::text(&String::from_utf8_lossy(&script))?;
        Ok(Outcome::Done)
    }
}
