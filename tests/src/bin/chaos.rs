//! `make chaos`: a campaign of real processes that are killed, frozen and restarted under load, and its account.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use mesh_tests::chaos::{Campaign, Servers, run};

/// The flags, most of them followed by a value.
const USAGE: &str = "usage: chaos [--runs N] [--seed N] [--cluster] [--keep]";

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let (campaign, is_cluster) = read(std::env::args().skip(1))?;
    println!("seed {}", campaign.seed);
    let servers = if is_cluster { Servers::three().await? } else { Servers::one()? };
    let account = run(&campaign, servers).await?;
    println!("{account}");
    for violation in &account.violations {
        println!("{violation}");
    }
    Ok(if account.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The campaign, and whether it is one on a cluster.
fn read(mut arguments: impl Iterator<Item = String>) -> Result<(Campaign, bool)> {
    let mut campaign = Campaign::usual(fastrand::u64(..1_000_000));
    let mut is_cluster = false;
    while let Some(flag) = arguments.next() {
        let mut number = || {
            let value = arguments.next().with_context(|| format!("{flag} needs a value; {USAGE}"))?;
            value.parse().with_context(|| format!("{flag} {value}: not a number"))
        };
        match flag.as_str() {
            "--runs" => campaign.runs = number()?,
            "--seed" => campaign.seed = number()?,
            "--cluster" => {
                is_cluster = true;
                let Campaign { server_pauses, ack_wait, .. } = Campaign::on_cluster(campaign.seed);
                (campaign.server_pauses, campaign.ack_wait) = (server_pauses, ack_wait);
            }
            "--keep" => campaign.keep = true,
            _ => bail!("{flag} is not known; {USAGE}"),
        }
    }
    Ok((campaign, is_cluster))
}
