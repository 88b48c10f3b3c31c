//! Which letters are meant, and dropping them.

use anyhow::{Result, ensure};
use mesh_bus::{Bus as _, DeadEnd};
use mesh_tests::{TestServer, World};
use serde_json::json;

use super::{HELD, bury, letters, message};
use crate::support::Person;

/// The numbers that `mesh dead list` shows by these arguments.
async fn listed(person: &Person, arguments: &[&str]) -> Result<Vec<u64>> {
    let listed = person.says(&[&["dead", "list", "-o", "json"], arguments].concat()).await?.json()?;
    Ok(listed.as_array().into_iter().flatten().filter_map(|letter| letter["sequence"].as_u64()).collect())
}

#[tokio::test]
async fn letters_are_picked_by_what_is_in_them() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(HELD).await?;
    let person = Person::of(&world)?;
    let run = world.start("held", json!({})).await?;
    let requested =
        bury(&world, DeadEnd::UnreadableRequest, message("workflow.requested.held", "{"), 1).await?;
    let other = bury(&world, DeadEnd::UnreadableRequest, message("task.requested.risk", "{"), 2).await?;
    let task = message(format!("task.created.held.normal.{run}.t.1"), "{");
    let task = bury(&world, DeadEnd::UnreadableTask, task, 3).await?;
    let event = message(format!("task.completed.risk.normal.{run}.u.1"), "{");
    let event = bury(&world, DeadEnd::StrayEvent, event, 4).await?;
    let time = world.bus.now().to_rfc3339_opts(chrono::SecondsFormat::Nanos, true);
    let later = bury(&world, DeadEnd::InboxSubject, message("workflow.requested.No", "{}"), 5).await?;
    let run = run.to_string();
    for (arguments, expected) in [
        (&[][..], vec![requested, other, task, event, later]),
        (&["--stream", "inbox"], vec![requested, other, later]),
        (&["--reason", "unknown_task"], vec![event]),
        (&["--workflow", "held"], vec![requested, task, event]),
        (&["--workflow", "other"], vec![]),
        (&["--capability", "risk"], vec![other, event]),
        (&["--capability", "risk", "--workflow", "held"], vec![event]),
        (&["--run", &run], vec![task, event]),
        (&["--run", "@last", "--stream", "tasks"], vec![task]),
        (&["--before", &time], vec![requested, other, task, event]),
        (&["--since", &time], vec![later]),
        (&["--since", "1h", "--before", "30m"], vec![]),
    ] {
        let found = listed(&person, arguments).await?;
        ensure!(found == expected, "{arguments:?}: {found:?}, not {expected:?}");
    }
    // The same ones are dropped, and no others; before that, it is said which.
    let would = person.says(&["dead", "drop", "--capability", "risk", "--dry-run"]).await?;
    ensure!(would.out == format!("would drop {other}\nwould drop {event}\n"), "{would:?}");
    ensure!(would.err.ends_with("2 letters would be dropped\n"), "{would:?}");
    let dropped = person.says(&["dead", "drop", "--capability", "risk"]).await?;
    ensure!(dropped.code == 0 && dropped.err.ends_with("2 letters dropped\n"), "{dropped:?}");
    ensure!(letters(&world).await? == [requested, task, later]);
    let (task, event) = (task.to_string(), event.to_string());
    let dropped = person.says(&["dead", "drop", &task, &event, &task, "-o", "json"]).await?;
    ensure!(dropped.code == 1 && dropped.err.ends_with("1 letter dropped, 1 not there\n"), "{dropped:?}");
    ensure!(letters(&world).await? == [requested, later]);
    let dropped = person.says(&["dead", "drop", "--all", "-o", "json"]).await?;
    ensure!(dropped.code == 0 && letters(&world).await?.is_empty(), "{dropped:?}");
    let none = person.says(&["dead", "drop", "--all"]).await?;
    ensure!(none.code == 0 && none.err.ends_with("0 letters dropped\n"), "{none:?}");
    orchestrator.stop().await
}

#[tokio::test]
async fn a_dry_run_changes_nothing() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(HELD).await?;
    let person = Person::of(&world)?;
    let good = bury(&world, DeadEnd::UnreadableRequest, message("workflow.requested.held", "{}"), 1).await?;
    let bad = bury(&world, DeadEnd::UnreadableRequest, message("workflow.requested.held", "{"), 2).await?;
    let (said, told) = super::redrive(&person, &["--all", "--dry-run"]).await?;
    ensure!(told[0]["result"] == "would_redrive" && told[1]["result"] == "refused", "{told:?}");
    ensure!(said.code == 1 && said.err.ends_with("1 letter would be redriven, 1 refused\n"), "{said:?}");
    ensure!(letters(&world).await? == [good, bad] && super::begun(&world, "held").await?.is_empty());
    let shown = person.says(&["dead", "redrive", &good.to_string()]).await?.well()?;
    ensure!(shown.starts_with(&format!("{good}: began run ")), "{shown}");
    orchestrator.stop().await
}
