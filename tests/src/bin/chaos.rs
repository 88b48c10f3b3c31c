//! `make chaos`: a campaign of real processes that are killed, frozen and restarted under load, and its account.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use mesh_tests::chaos::{Campaign, Servers, run};

/// The flags, each followed by its value.
const USAGE: &str = "usage: chaos [--runs N] [--seed N]";

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let campaign = read(std::env::args().skip(1))?;
    println!("seed {}", campaign.seed);
    let account = run(&campaign, Servers::one()?).await?;
    println!("{account}");
    for violation in &account.violations {
        println!("{violation}");
    }
    Ok(if account.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(mut arguments: impl Iterator<Item = String>) -> Result<Campaign> {
    let mut campaign = Campaign::usual(fastrand::u64(..1_000_000));
    while let Some(flag) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{flag} needs a value; {USAGE}"))?;
        let number = value.parse().with_context(|| format!("{flag} {value}: not a number"))?;
        match flag.as_str() {
            "--runs" => campaign.runs = number,
            "--seed" => campaign.seed = number,
            _ => bail!("{flag} is not known; {USAGE}"),
        }
    }
    Ok(campaign)
}
