//! Every kind of agent that there is here, tried by all rules.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{agent, check, path, test_agent};

/// Longer than agents wait before they mark a task as in progress for the first time.
const SLOW: u64 = 11;
/// What the bare contract does not ask of an agent.
const BARE: [&str; 6] = ["newer-schema", "looks-first", "poison", "cancel-heard", "registered", "service"];

/// Tries an agent; every rule is to be tried, and only these warned of.
async fn keeps_the_contract(
    capability: &str,
    inputs: [&str; 3],
    command: &[&str],
    warned: &[&str],
) -> Result<()> {
    let [input, bad, slow] = inputs;
    let asked = ["-c", capability, "--input", input, "--bad-input", bad, "--slow-input", slow, "--"];
    let checked = check(&[&asked, command].concat()).await?;
    checked.breaks(capability, warned)?;
    let skipped = checked.rules(&["skipped"]);
    ensure!(skipped.is_empty(), "{capability}: {skipped:?} are skipped: {:#}", checked.report);
    ensure!(checked.code == 0, "{capability}: {}", checked.err);
    Ok(())
}

#[tokio::test]
async fn every_agent_of_ours_keeps_the_contract() -> Result<()> {
    // At once: they wait most of the time.
    let (sdk, python, exec, http, bare) = tokio::join!(sdk(), python(), exec(), http(), bare());
    for result in [sdk, python, exec, http, bare] {
        result?;
    }
    Ok(())
}

async fn sdk() -> Result<()> {
    let notes = std::env::temp_dir().join(format!("mesh-check-notes-{}", uuid::Uuid::new_v4()));
    let (agent, notes) = (test_agent(), notes);
    let slow = format!(r#"{{"do": "sleep", "ms": {}}}"#, SLOW * 1_000);
    let inputs = [r#"{"do": "return"}"#, r#"{"do": "what?"}"#, &slow];
    let command = [&*agent.to_string_lossy(), "sdk", &*notes.to_string_lossy()];
    let kept = keeps_the_contract("sdk", inputs, &command, &[]).await;
    std::fs::remove_file(&notes)?;
    kept
}

async fn python() -> Result<()> {
    let slow = format!(r#"{{"do": "sleep", "seconds": {SLOW}}}"#);
    let inputs = [r#"{"do": "return"}"#, "{}", &slow];
    let worker = path("agents/python/tests/worker.py");
    keeps_the_contract("python", inputs, &["python3", &worker, "python"], &[]).await
}

async fn exec() -> Result<()> {
    let script = format!(
        r#"read -r input; case "$input" in *slow*) sleep {SLOW};; *bad*) echo no >&2; exit 65;; esac; echo '"done"'"#
    );
    let mesh = mesh_tests::mesh_binary()?;
    let command = [&*mesh.to_string_lossy(), "agent", "exec", "-c", "exec", "--", "sh", "-c", &script];
    keeps_the_contract("exec", [r#""good""#, r#""bad""#, r#""slow""#], &command, &[]).await
}

async fn http() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let mesh = mesh_tests::mesh_binary()?;
    let command = [&*mesh.to_string_lossy(), "agent", "http", "-c", "http", "--url", &url];
    let inputs = [r#""good""#, r#""bad""#, r#""slow""#];
    tokio::select! {
        kept = keeps_the_contract("http", inputs, &command, &[]) => kept,
        failed = serve(listener) => failed.map(|never| match never {}),
    }
}

async fn bare() -> Result<()> {
    let slow = format!(r#"{{"seconds": {SLOW}}}"#);
    let inputs = [r#"{"merchant_name": "Müller"}"#, "[]", &slow];
    let folder = path("agents/examples/merchant-onboarding");
    let command = ["python3", &agent("slow_preprocess.py"), &folder];
    keeps_the_contract("preprocess", inputs, &command, &BARE).await
}

async fn serve(listener: TcpListener) -> Result<Infallible> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A client that goes away is no error of the service.
            let _ = answer(stream).await;
        });
    }
}

/// Answers what is asked on one connection, until the client goes away.
async fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while stream.read_line(&mut line).await? > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or_default();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        if length == 0 {
            return Ok(());
        }
        stream.read_exact(&mut body).await?;
        let status = match body.as_slice() {
            br#""bad""# => "422 Unprocessable Content",
            br#""slow""# => {
                tokio::time::sleep(Duration::from_secs(SLOW)).await;
                "200 OK"
            }
            _ => "200 OK",
        };
        stream
            .write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 6\r\n\r\n\"done\"").as_bytes())
            .await?;
    }
}
