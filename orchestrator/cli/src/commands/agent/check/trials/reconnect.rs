//! A server that is gone for a while.

use std::time::Duration;

use crate::commands::agent::check::Settings;
use crate::commands::agent::check::bench::Place;
use crate::commands::agent::check::report::Findings;
use crate::commands::agent::check::rule::Rule;

pub(super) const RULES: &[Rule] = &[Rule::Reconnects];

/// How long the server is gone: some tries to connect are in vain.
const GONE: Duration = Duration::from_secs(3);

pub(super) async fn run(place: &Place, settings: &Settings) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let mut server = place.bench()?.another_server("restarted").await?;
    let mut before = place.stage_on(&server, "reconnect", settings).await?;
    before.start_agent()?;
    if let Err(found) = before.goes_on().await? {
        findings.broken(Rule::Reconnects, found);
        return Ok(findings);
    }
    // Only the agent is connected while the server is gone.
    let agent = before.into_agent();
    server.stop().await?;
    tokio::time::sleep(GONE).await;
    server.start_again().await?;
    let mut after = place.stage_on(&server, "reconnect", settings).await?;
    after.adopt(agent);
    let gone_on = if after.has_ended() { Err(after.how_it_ended()) } else { after.goes_on().await? };
    findings.judge(Rule::Reconnects, gone_on);
    // The agent goes first: it is not to look for a server that is gone for good.
    drop(after);
    server.stop().await?;
    Ok(findings)
}
