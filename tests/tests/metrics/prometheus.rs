//! A Prometheus server that asks an orchestrator and an agent.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use mesh_telemetry::metrics::table::{
    AGENT_CAPACITY, CACHED_RUNS, CAPABILITY_AGENTS, CAPABILITY_CAPACITY, DEAD_LETTERS, EVENT_LAG, NATS_UP,
    PROBLEMS, QUEUE_AGE, QUEUE_DEPTH, QUEUE_IN_HAND, RUN_DURATION, RUN_OLDEST, RUNS, RUNS_ENDED,
    RUNS_STARTED, SHARD_BACKLOG, SHARD_OWNED, TASK_DURATION, TASKS_CREATED, TASKS_ENDED,
};
use mesh_telemetry::metrics::{Kind, Metric};
use mesh_tests::{TestServer, World};
use serde_json::{Value, json as object};
use tokio::process::Command;

use crate::names::dashboards;
use crate::support::{Told, answers, eventually, file, get, json, quoted, tool};

/// A Prometheus server in a folder of its own, which is removed with it.
struct Prometheus {
    address: SocketAddr,
    folder: PathBuf,
    _process: Told,
}

impl Prometheus {
    /// Starts one that asks these, with the alerts of the mesh, which wait for nothing here.
    async fn start(program: PathBuf, jobs: &[(&str, SocketAddr)]) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("mesh-prometheus-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder)?;
        let alerts = std::fs::read_to_string(file("deploy/prometheus/alerts.yml"))?;
        let at_once: Vec<&str> = alerts.lines().filter(|line| !line.trim().starts_with("for: ")).collect();
        std::fs::write(folder.join("alerts.yml"), at_once.join("\n"))?;
        let jobs: Vec<Value> = jobs
            .iter()
            .map(|(name, address)| object!({"job_name": name, "static_configs": [{"targets": [address.to_string()]}]}))
            .collect();
        let config = object!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["alerts.yml"],
            "scrape_configs": jobs,
        });
        // What is JSON is YAML.
        std::fs::write(folder.join("prometheus.yml"), config.to_string())?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut command = Command::new(program);
        command
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={address}"))
            .current_dir(&folder);
        let mut process = Told::spawn(command)?;
        process.says("Server is ready to receive web requests").await?;
        Ok(Self { address, folder, _process: process })
    }

    async fn api(&self, path: &str) -> Result<Value> {
        let (status, body) = get(self.address, &format!("/api/v1/{path}")).await?;
        ensure!(status == 200, "{status}: {body}");
        // Long answers come in pieces, unless the client is of old.
        Ok(json(&body)?["data"].clone())
    }

    /// Waits until a query has a result, and gives it.
    async fn has(&self, query: &str) -> Result<Value> {
        eventually(query, async || {
            let found = self.api(&format!("query?query={}", quoted(query))).await?;
            let result = &found["result"];
            Ok(if result.as_array().is_some_and(|all| !all.is_empty()) {
                Ok(result.clone())
            } else {
                Err(found.to_string())
            })
        })
        .await
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn prometheus_reads_what_is_told_and_has_alerts_fire() -> Result<()> {
    let Some(program) = tool("prometheus")? else { return Ok(()) };
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let mut orchestrator = Told::start(&world, &["orchestrator", "--observe", "127.0.0.1:0"])?;
    let orchestrator_at = orchestrator.address().await?;
    answers(orchestrator_at, "/readyz", 200).await?;
    world.apply("mesh: v1\nname: done\ntasks: {one: {agent: known}}\n").await?;
    world.apply("mesh: v1\nname: stuck\ntasks: {one: {agent: lonely}}\n").await?;
    let arguments = ["agent", "exec", "--capability", "known", "--observe", "127.0.0.1:0", "--", "cat"];
    let mut agent = Told::start(&world, &arguments)?;
    let agent_at = agent.address().await?;
    let jobs = [("mesh-orchestrators", orchestrator_at), ("mesh-agents", agent_at)];
    let prometheus = Prometheus::start(program, &jobs).await?;
    prometheus.has("count(up == 1) == 2").await?;
    for (workflow, id) in [("done", "1"), ("done", "2"), ("stuck", "1")] {
        mesh_bus::submit(&*world.bus, &world.request(workflow, id, object!({}))?).await?;
    }
    prometheus.has("sum(mesh_runs_ended_total{workflow=\"done\", outcome=\"completed\"}) == 2").await?;
    let metrics: [&dyn Metric; 21] = [
        &RUNS_STARTED,
        &RUNS_ENDED,
        &RUN_DURATION,
        &RUNS,
        &RUN_OLDEST,
        &TASKS_CREATED,
        &TASKS_ENDED,
        &TASK_DURATION,
        &QUEUE_DEPTH,
        &QUEUE_IN_HAND,
        &QUEUE_AGE,
        &CAPABILITY_AGENTS,
        &CAPABILITY_CAPACITY,
        &EVENT_LAG,
        &SHARD_BACKLOG,
        &SHARD_OWNED,
        &CACHED_RUNS,
        &DEAD_LETTERS,
        &PROBLEMS,
        &NATS_UP,
        &AGENT_CAPACITY,
    ];
    for metric in metrics {
        let about = metric.about();
        let name = about.prometheus();
        let series = if about.kind == Kind::Histogram { format!("{name}_bucket") } else { name.clone() };
        let result = prometheus.has(&series).await?;
        let labels = result[0]["metric"].as_object().context("labels")?;
        for label in about.labels {
            ensure!(labels.contains_key(*label), "{name} has no {label}: {labels:?}");
        }
        let known = prometheus.api(&format!("metadata?metric={name}")).await?;
        let (kind, help) = (&known[&name][0]["type"], &known[&name][0]["help"]);
        ensure!(kind == about.kind.as_str() && help == about.help, "{name}: {known}");
    }
    prometheus
        .has("ALERTS{alertname=\"MeshNobodyServes\", alertstate=\"firing\", capability=\"lonely\"}")
        .await?;
    understands_the_dashboards(&prometheus).await?;
    let alerts = prometheus.api("alerts").await?;
    let firing = alerts["alerts"].as_array().context("alerts")?;
    let nobody =
        firing.iter().find(|alert| alert["labels"]["alertname"] == "MeshNobodyServes").context("it fires")?;
    assert_eq!(nobody["annotations"]["summary"], "Nobody serves lonely, and 1 tasks wait");
    // As long as all goes well, nothing else is to be seen to.
    ensure!(firing.len() == 1, "{alerts}");
    drop(orchestrator);
    prometheus.has("ALERTS{alertname=\"MeshOrchestratorDown\", alertstate=\"firing\"}").await?;
    prometheus.has("ALERTS{alertname=\"MeshNoOrchestrator\", alertstate=\"firing\"}").await?;
    Ok(())
}

/// Every query of every dashboard, as Grafana would send it.
async fn understands_the_dashboards(prometheus: &Prometheus) -> Result<()> {
    let mut number = 0;
    for (path, dashboard) in dashboards()? {
        let panels = dashboard["panels"].as_array().context("panels")?;
        for target in panels.iter().flat_map(|panel| panel["targets"].as_array()).flatten() {
            let query = target["expr"].as_str().context("a query")?;
            let query = query
                .replace("$__rate_interval", "1m")
                .replace("$workflow", ".*")
                .replace("$capability", ".*");
            ensure!(!query.contains('$'), "{}: {query}", path.display());
            let asked = prometheus.api(&format!("query?query={}", quoted(&query))).await;
            asked.with_context(|| format!("{}: {query}", path.display()))?;
            number += 1;
        }
    }
    ensure!(number > 40, "only {number} queries");
    Ok(())
}
