//! A NATS server of one's own.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to start: recovering a large store on a busy machine takes seconds.
const START: Duration = Duration::from_secs(30);
/// What the server logs when it takes clients.
const READY: &str = "Server is ready";
/// How often to choose another port when somebody took the one that was free a moment ago.
const PORTS: u32 = 5;

/// A NATS server with JetStream on a port and in a folder of its own. Dropping it kills it and removes the folder.
#[derive(Debug)]
pub struct TestServer {
    child: Child,
    port: u16,
    folder: PathBuf,
    extra: Vec<OsString>,
    log: Mutex<Receiver<String>>,
}

impl TestServer {
    /// Starts a server and waits until it takes clients.
    ///
    /// # Errors
    /// If there is no server to start (it says how to get one), or it does not start.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with further arguments, such as `--config` and a path.
    ///
    /// # Errors
    /// As [`TestServer::start`].
    pub fn start_with(extra: &[&str]) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("mesh-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let extra: Vec<OsString> = extra.iter().map(OsString::from).collect();
        let mut last = None;
        for _ in 0..PORTS {
            let port = free_port()?;
            match launch(&folder, port, &extra) {
                Ok((child, log)) => return Ok(Self { child, port, folder, extra, log: Mutex::new(log) }),
                Err(error) => last = Some(error),
            }
        }
        std::fs::remove_dir_all(&folder).ok();
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no port is free")))
    }

    /// Where it listens: `nats://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port it listens on; the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id; another after a restart.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it stores everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills it with SIGKILL and waits until it is gone. What it stored stays.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill9(&mut self) -> Result<()> {
        self.child.kill().context("kill the server")?;
        self.child.wait().context("wait for the server's end")?;
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn terminate(&mut self) -> Result<()> {
        signal(self.pid(), Signal::TERM)?;
        self.child.wait().context("wait for the server's end")?;
        Ok(())
    }

    /// Starts it again on the same port with what it had stored, after killing it if it still runs.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.kill9()?;
        let (child, log) = launch(&self.folder, self.port, &self.extra)?;
        (self.child, self.log) = (child, Mutex::new(log));
        Ok(())
    }

    /// Waits until the server logs a line with these words that was not waited for yet.
    ///
    /// # Errors
    /// If it does not in time, with what it logged instead.
    pub fn logs(&self, words: &str) -> Result<()> {
        let lines = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        await_line(&lines, words)
    }

    /// Stops it in its tracks (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn stop_signal(&self) -> Result<()> {
        signal(self.pid(), Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// If the system refuses.
    pub fn cont(&self) -> Result<()> {
        signal(self.pid(), Signal::CONT)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // The test is over: there is nobody to tell of a server that is gone already.
        self.kill9().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// Sends a signal to a process.
///
/// # Errors
/// If there is no such process, or the system refuses.
pub fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no process id")?;
    kill_process(pid, signal).with_context(|| format!("send {signal:?}"))
}

/// The server program: `NATS_SERVER`, or what `make tools` put under `target/tools`.
///
/// # Errors
/// If there is none; the text says how to get it.
pub fn server_binary() -> Result<PathBuf> {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/nats-server");
    let path = std::env::var_os("NATS_SERVER").map_or(built_in, PathBuf::from);
    if path.is_file() {
        return Ok(path);
    }
    bail!("there is no nats-server at {}: run `make tools`, or set NATS_SERVER to one", path.display())
}

pub(crate) fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

fn launch(folder: &Path, port: u16, extra: &[OsString]) -> Result<(Child, Receiver<String>)> {
    let binary = server_binary()?;
    let mut child = Command::new(&binary)
        .args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--jetstream", "--store_dir"])
        .arg(folder)
        .args(extra)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", binary.display()))?;
    let Some(log) = child.stderr.take() else { bail!("the server has no log") };
    let (lines, log_lines) = channel();
    // Reads to the end of the server, or the server would block on a full pipe.
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            lines.send(line).ok();
        }
    });
    await_line(&log_lines, READY).inspect_err(|_| {
        child.kill().ok();
        child.wait().ok();
    })?;
    Ok((child, log_lines))
}

fn await_line(lines: &Receiver<String>, words: &str) -> Result<()> {
    let give_up = Instant::now() + START;
    let mut log = Vec::new();
    loop {
        match lines.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains(words) => return Ok(()),
            Ok(line) => log.push(line),
            Err(RecvTimeoutError::Timeout) => {
                bail!("nats-server does not say {words:?} in time:\n{}", log.join("\n"))
            }
            Err(RecvTimeoutError::Disconnected) => bail!("nats-server ended:\n{}", log.join("\n")),
        }
    }
}
