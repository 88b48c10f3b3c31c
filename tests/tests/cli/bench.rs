//! `mesh bench`: what is measured, in which form. How quick the mesh is, is not tested.

use anyhow::{Context as _, Result, ensure};
use mesh_tests::{TestServer, World, patiently};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::Person;

/// Few runs, one round.
const TINY: [&str; 8] = ["bench", "--runs", "20", "--rounds", "1", "--agents", "1", "--in-flight"];

/// What is measured of every round, without what depends on the system.
const FIGURES: [&str; 7] = [
    "run_ms_p50",
    "run_ms_p90",
    "run_ms_p99",
    "run_ms_p99_9",
    "runs_per_second",
    "task_ms",
    "tasks_per_second",
];

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    TINY.iter().chain(more).copied().collect()
}

#[tokio::test]
async fn figures_are_printed_for_people_and_programs() -> Result<()> {
    let person = Person::new()?;
    let shown = person.says(&arguments(&["8"])).await?;
    assert!(shown.err.contains("round 1 of 1, mesh: "), "{}", shown.err);
    let shown = shown.well()?;
    let setting = "setting   chain-3 (3 tasks), 512 bytes of text, 8 in flight, 1 orchestrator, 1 agent for 100 tasks at once of \
                   each of 1 capability, sync by default, 1 round of 20 runs\n\nFIGURE ";
    assert!(shown.starts_with("machine   ") && shown.contains(setting), "{shown}");
    for figure in
        ["runs/s  ", "tasks/s  ", "run p50 ms  ", "run p99.9 ms  ", "task ms ", "JetStream writes per task "]
    {
        assert!(shown.contains(&format!("\n{figure}")), "{figure}: {shown}");
    }

    let nowhere = person.says(&["bench", "--plot", "nowhere/plot.svg"]).await?;
    assert!(nowhere.code != 0 && nowhere.err.contains("there is no folder nowhere"), "{nowhere:?}");
    let drawn = arguments(&["2", "--workload", "foreach-100", "--plot", "plot.svg", "-o", "json"]);
    let told = person.says(&drawn).await?.json()?;
    let plot = std::fs::read_to_string(person.home().join("plot.svg"))?;
    assert!(plot.starts_with("<svg ") && plot.ends_with("</svg>\n"), "{plot}");
    assert!(plot.contains("foreach-100") && plot.contains("Tasks per second"), "{plot}");
    assert!(told["machine"]["processors"].is_u64() && told["warnings"].is_array(), "{told:#}");
    let variants = told["variants"].as_array().context("variants")?;
    assert!(variants.len() == 1 && variants[0]["name"] == "mesh", "{told:#}");
    let (setting, figures) = (&variants[0]["setting"], &variants[0]["figures"]);
    assert_eq!((&setting["subject"], &setting["workload"]), (&json!("mesh"), &json!("foreach-100")));
    assert_eq!((&setting["tasks"], &setting["runs"]), (&json!(101), &json!(20)));
    has_figures(figures)?;
    let rate = |name: &str| figures[name]["median"].as_f64().unwrap_or_default();
    assert!((rate("tasks_per_second") / rate("runs_per_second") - 101.0).abs() < 1e-6, "{figures:#}");
    assert!(rate("run_ms_p50") <= rate("run_ms_p99_9"), "{figures:#}");
    // Work, outcome and that it was assigned; a few more for each run.
    assert!((2.5..4.0).contains(&rate("writes_per_task")), "{figures:#}");
    if cfg!(target_os = "linux") {
        for part in ["server", "orchestrator", "agents"] {
            assert!(rate(&format!("peak_bytes_{part}")) > 1e6, "{figures:#}");
            assert!(figures[format!("cpu_s_per_1000_tasks_{part}")].is_object(), "{figures:#}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_bare_loop_goes_through_the_same_runs() -> Result<()> {
    let person = Person::new()?;
    for workload in ["diamond", "mixed"] {
        let told =
            person.says(&arguments(&["4", "--floor", "--workload", workload, "-o", "json"])).await?.json()?;
        let variants = told["variants"].as_array().context("variants")?;
        let names: Vec<&Value> = variants.iter().map(|variant| &variant["name"]).collect();
        assert_eq!(names, ["floor", "mesh"]);
        for variant in variants {
            has_figures(&variant["figures"])?;
        }
        let writes = |variant: usize| variants[variant]["figures"]["writes_per_task"]["median"].as_f64();
        let ratio = writes(0).zip(writes(1)).map(|(floor, mesh)| floor / mesh);
        assert!(ratio.is_some_and(|ratio| (0.85..1.15).contains(&ratio)), "the same writes: {told:#}");
        assert_eq!((&variants[1]["ratio"]["to"], &variants[0]["ratio"]), (&json!("floor"), &Value::Null));
        assert!(variants[1]["ratio"]["throughput"]["median"].as_f64().is_some_and(|ratio| ratio > 0.0));
    }
    Ok(())
}

#[tokio::test]
async fn runs_are_asked_for_at_a_rate_in_one_process() -> Result<()> {
    let person = Person::new()?;
    let told =
        person.says(&arguments(&["4", "--rate", "50%", "--in-process", "-o", "json"])).await?.json()?;
    let variant = &told["variants"][0];
    assert_eq!(variant["setting"]["rate"], "50% of the most runs/s");
    has_figures(&variant["figures"])?;
    // What it takes is that of the load, with which it is one process.
    assert!(variant["figures"]["cpu_s_per_1000_tasks_agents"].is_null(), "{variant:#}");
    Ok(())
}

#[tokio::test]
async fn several_capabilities_and_orchestrators_share_runs_that_wait_beside_others() -> Result<()> {
    let person = Person::new()?;
    let more = ["4", "--capabilities", "3", "--orchestrators", "2", "--idle-runs", "50", "-o", "json"];
    let told = person.says(&arguments(&more)).await?.json()?;
    let setting = &told["variants"][0]["setting"];
    assert_eq!([&setting["capabilities"], &setting["orchestrators"], &setting["idle_runs"]], [3, 2, 50]);
    has_figures(&told["variants"][0]["figures"])
}

#[tokio::test]
async fn what_cannot_be_had_together_is_refused() -> Result<()> {
    let person = Person::new()?;
    let wrong = [
        (["--floor", "--idle-runs", "5"].as_slice(), "keeps nothing of runs"),
        (&["--floor", "--compare", "telemetry"], "tells nothing"),
        (&["--floor", "--orchestrators", "2"], "does not share runs out"),
        (&["--in-process", "--compare", "telemetry"], "told by processes"),
        (&["--durable", "--nats-url", "nats://127.0.0.1:1"], "a setting of the server"),
        (&["--compare", "agents", "--agents", "5"], "gives --agents several values"),
        (&["--rate", "half"], "such as 500, or a part such as 50%"),
    ];
    for (arguments, reason) in wrong {
        let all: Vec<&str> = ["bench"].iter().chain(arguments).copied().collect();
        let said = person.says(&all).await?;
        assert!(said.err.contains(reason), "{arguments:?}: {}", said.err);
    }
    Ok(())
}

fn has_figures(figures: &Value) -> Result<()> {
    for name in FIGURES {
        let figure = &figures[name];
        for value in ["median", "least", "most"] {
            ensure!(figure[value].as_f64().is_some_and(|value| value > 0.0), "{name}: {figures:#}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn telemetry_is_compared_with_none() -> Result<()> {
    let person = Person::new()?.with("MESH_NATS_URL", "nats://127.0.0.1:1").with("MESH_OBSERVE", "wrong");
    let told = person.says(&arguments(&["8", "--compare", "telemetry", "-o", "json"])).await?.json()?;
    let variants = told["variants"].as_array().context("variants")?;
    let names: Vec<&Value> = variants.iter().map(|variant| &variant["setting"]["telemetry"]).collect();
    assert_eq!(names, ["off", "metrics", "tenth", "everything"]);
    assert_eq!(variants[0]["ratio"]["throughput"], json!({"median": 1.0, "least": 1.0, "most": 1.0}));
    for variant in variants {
        has_figures(&variant["figures"])?;
        assert!(variant["ratio"]["run_ms_p50"]["median"].as_f64().is_some_and(|ratio| ratio > 0.0));
        let is_sent = ["tenth", "everything"].iter().any(|sent| variant["setting"]["telemetry"] == *sent);
        let has_collector = variant["figures"]["cpu_s_per_1000_tasks_collector"].is_object();
        assert_eq!(has_collector, is_sent && cfg!(target_os = "linux"), "{variant:#}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_there_is_left_as_it_was() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let streams =
        async || world.bus.jetstream("STREAM.NAMES", &json!({})).await.map(|names| names["streams"].clone());
    let before = streams().await?;
    let person = Person::new()?;
    let url = server.url();
    let told = person.says(&arguments(&["8", "--nats-url", &url, "-o", "json"])).await?.json()?;
    assert_eq!(told["own_server"], false);
    let figures = &told["variants"][0]["figures"];
    has_figures(figures)?;
    assert!(figures["peak_bytes_server"].is_null(), "{figures:#}");
    assert_eq!(streams().await?, before);
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_when_it_is_interrupted() -> Result<()> {
    let person = Person::new()?;
    let folder = person.home().join("temporary");
    std::fs::create_dir(&folder)?;
    let mut child = person
        .command(&["bench", "--workload", "one", "--in-flight", "4", "--seconds", "1", "--rounds", "1000"])?
        .env("TMPDIR", &folder)
        .spawn()?;
    let mut lines = BufReader::new(child.stderr.take().context("a pipe")?).lines();
    let first = patiently("a round", lines.next_line()).await??;
    assert!(first.as_ref().is_some_and(|line| line.starts_with("round 1 of 1000")), "{first:?}");
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    kill_process(pid.context("a process id")?, Signal::INT)?;
    let status = patiently("the end", child.wait()).await??;
    assert_eq!(status.code(), Some(130));
    assert_eq!(std::fs::read_dir(&folder)?.count(), 0);
    assert_eq!(processes_with(&folder.display().to_string()), 0);
    Ok(())
}

/// How many processes have this in their environment; none where the system does not tell.
fn processes_with(text: &str) -> usize {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let environments = processes.filter_map(|process| std::fs::read(process.path().join("environ")).ok());
    environments.filter(|environment| String::from_utf8_lossy(environment).contains(text)).count()
}
