//! Processes that tell how they are, and whoever asks them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mesh_tests::{World, mesh_binary};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// Longer than anything takes on a busy machine; only a test that fails waits for it.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// A process of the mesh whose log is read. It is killed when this is dropped.
pub(crate) struct Told {
    child: Child,
    log: UnboundedReceiver<String>,
}

impl Told {
    /// Starts `mesh` with these arguments in a world.
    pub(crate) fn start(world: &World, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(mesh_binary()?);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("MESH_NATS_URL", &world.url)
            .env("MESH_NAMESPACE", world.namespace.as_str());
        Self::spawn(command)
    }

    pub(crate) fn spawn(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("a log")?).lines();
        let (sender, log) = unbounded_channel();
        // Reads to the end, or the process would block on a full pipe.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = sender.send(line);
            }
        });
        Ok(Self { child, log })
    }

    /// The next line of its log that has these words.
    pub(crate) async fn says(&mut self, words: &str) -> Result<String> {
        let mut said = Vec::new();
        let waiting = timeout(LONG, async {
            while let Some(line) = self.log.recv().await {
                if line.contains(words) {
                    return Some(line);
                }
                said.push(line);
            }
            None
        });
        match waiting.await {
            Ok(Some(line)) => Ok(line),
            Ok(None) | Err(_) => bail!("it does not say {words:?}:\n{}", said.join("\n")),
        }
    }

    /// Where it tells how it is.
    pub(crate) async fn address(&mut self) -> Result<SocketAddr> {
        let line = self.says("metrics and health are told here").await?;
        let (_, address) = line.rsplit_once("address=").context("an address")?;
        Ok(address.trim().parse()?)
    }

    /// Its exit code, once it has ended by itself.
    pub(crate) async fn ended(&mut self) -> Result<Option<i32>> {
        Ok(timeout(LONG, self.child.wait()).await??.code())
    }
}

/// The status and body of an answer.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("a head and a body")?;
        let status = head.split(' ').nth(1).context("a status")?.parse()?;
        Ok((status, body.to_owned()))
    };
    timeout(LONG, asking).await?
}

/// Looks until something is so. What was seen last is told if it never is.
pub(crate) async fn eventually<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Result<T, String>>,
) -> Result<T> {
    let mut seen = String::new();
    let looking = async {
        let mut looks = tokio::time::interval(Duration::from_millis(100));
        loop {
            looks.tick().await;
            match look().await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(other)) => seen = other,
                Err(error) => seen = format!("{error:#}"),
            }
        }
    };
    let found = timeout(LONG, looking).await;
    found.unwrap_or_else(|_| bail!("waited too long for {what}; seen last: {seen}"))
}

/// Waits until the answer of a path has this status, and gives its body.
pub(crate) async fn answers(address: SocketAddr, path: &str, status: u16) -> Result<String> {
    eventually(&format!("{status} from {path}"), async || {
        let (found, body) = get(address, path).await?;
        Ok(if found == status { Ok(body) } else { Err(format!("{found}: {body}")) })
    })
    .await
}

/// A file of the checkout.
pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A text that percent signs stand in for what an address may not hold.
pub(crate) fn quoted(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

pub(crate) fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| format!("not JSON: {text}"))
}

/// A program that `make tools` puts there, unless it cannot be had here: then that is said, and the test is over. Where tests are
/// run by a machine that should have it, it must be there.
pub(crate) fn tool(name: &str) -> Result<Option<PathBuf>> {
    let path = file("target/tools").join(name);
    if path.is_file() {
        return Ok(Some(path));
    }
    let should_be_there =
        cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")));
    if should_be_there && std::env::var_os("CI").is_some() {
        bail!("there is no {}: run `make tools`", path.display());
    }
    eprintln!("SKIPPED: there is no {}, which `make tools` fetches where it can", path.display());
    Ok(None)
}
