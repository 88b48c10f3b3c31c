//! What log lines say.

use anyhow::{Result, ensure};
use mesh_tests::{Process, mesh_binary};
use serde_json::{Value, json};

use crate::place::Place;

#[tokio::test]
async fn every_line_of_a_handler_says_which_task_it_is_and_none_has_a_payload() -> Result<()> {
    let place = Place::new(&[]).await?;
    place.world.apply("{mesh: v1, name: one, tasks: {a: {agent: picky, retry: {max_attempts: 1}}}}").await?;
    let log = place.folder.join("agent.log");
    let agent = ["agent", "exec", "--log-format", "json", "--capability", "picky", "--", "sh", "-c"];
    let script = "cat >/dev/null; echo 'I look at it' >&2; exit 65";
    let _agent = Process::logged(&place.world, &mesh_binary()?, &[&agent[..], &[script]].concat(), &log)?;
    let mut request = place.world.request("one", "1", json!("a payload"))?;
    request.correlation_id = Some("order-7".to_owned());
    let run = mesh_bus::submit(&*place.world.bus, &request).await?;
    place.world.ended(run).await?;
    let text = std::fs::read_to_string(&log)?;
    ensure!(!text.contains("a payload"), "{text}");
    let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let of_handler: Vec<&Value> =
        lines.iter().filter(|line| line["from"] == "stderr" || line["message"] == "task failed").collect();
    ensure!(of_handler.len() == 2, "{text}");
    let uuid = run.uuid().simple().to_string();
    for line in of_handler {
        let about = json!({
            "name": "task", "run": run, "task": "a", "attempt": 1, "correlation_id": "order-7", "trace_id": uuid,
        });
        ensure!(line["spans"] == json!([about]), "{line}");
        ensure!(line["timestamp"].is_string() && line["level"].is_string() && line["target"].is_string());
    }
    Ok(())
}
