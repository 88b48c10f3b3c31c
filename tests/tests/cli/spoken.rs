//! Commands that go on, with what they say as they say it.

use anyhow::{Context as _, Result};
use mesh_schemas::RunId;
use mesh_tests::{patiently, signal};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::Child;

use crate::support::{Person, Said};

/// A command that runs.
pub(crate) struct Spoken {
    child: Child,
    lines: Lines<BufReader<Box<dyn AsyncRead + Send + Unpin>>>,
    /// The lines that were read so far.
    read: Vec<String>,
}

impl Spoken {
    /// Starts a command and listens to its stderr.
    pub(crate) fn on_stderr(person: &Person, arguments: &[&str]) -> Result<Self> {
        let mut child = person.command(arguments)?.spawn()?;
        let err = child.stderr.take().context("a pipe")?;
        Ok(Self::new(child, Box::new(err)))
    }

    /// Starts a command and listens to its stdout.
    pub(crate) fn on_stdout(person: &Person, arguments: &[&str]) -> Result<Self> {
        let mut child = person.command(arguments)?.spawn()?;
        let out = child.stdout.take().context("a pipe")?;
        Ok(Self::new(child, Box::new(out)))
    }

    fn new(child: Child, stream: Box<dyn AsyncRead + Send + Unpin>) -> Self {
        Self { child, lines: BufReader::new(stream).lines(), read: Vec::new() }
    }

    /// The next line.
    pub(crate) async fn line(&mut self) -> Result<String> {
        let next = patiently("the next line", self.lines.next_line()).await??;
        let line = next.with_context(|| format!("it ended after saying\n{}", self.read.join("\n")))?;
        self.read.push(line.clone());
        Ok(line)
    }

    /// The next line with these words in it.
    pub(crate) async fn until(&mut self, words: &str) -> Result<String> {
        loop {
            let line = self.line().await.with_context(|| format!("waiting for '{words}'"))?;
            if line.contains(words) {
                return Ok(line);
            }
        }
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&self) -> Result<()> {
        self.signal(Signal::INT)
    }

    pub(crate) fn signal(&self, number: Signal) -> Result<()> {
        signal(self.child.id().context("it has ended")?, number)
    }

    /// Waits for its end. What it said where nobody listened is there too.
    pub(crate) async fn ended(mut self) -> Result<Said> {
        while let Some(line) = patiently("the last line", self.lines.next_line()).await?? {
            self.read.push(line);
        }
        let ended = patiently("a command", self.child.wait_with_output()).await??;
        let read: String = self.read.iter().map(|line| format!("{line}\n")).collect();
        let (out, err) = (String::from_utf8(ended.stdout)?, String::from_utf8(ended.stderr)?);
        let code = ended.status.code().context("ended by a signal")?;
        Ok(if err.is_empty() { Said { code, out, err: read } } else { Said { code, out: read, err } })
    }
}

/// A text with what differs from time to time named instead: times, durations, runs.
pub(crate) fn normal(text: &str) -> String {
    text.lines().map(|line| normal_line(line) + "\n").collect()
}

fn normal_line(line: &str) -> String {
    let mut normal = String::new();
    for word in line.split(' ') {
        let bare = word.trim_end_matches([':', ';', ',']);
        let is_clock = bare.len() == "00:00:00.000".len()
            && bare.chars().all(|c| c.is_ascii_digit() || matches!(c, ':' | '.'));
        let is_duration = bare.starts_with(|c: char| c.is_ascii_digit()) && bare.ends_with(['s', 'm']);
        let name = match bare {
            _ if is_clock => "TIME",
            _ if is_duration => "DURATION",
            _ if bare.parse::<RunId>().is_ok() => "RUN",
            _ => bare,
        };
        if name == "DURATION" && normal.ends_with("DURATION ") {
            normal.truncate(normal.len() - "DURATION ".len());
        }
        normal.push_str(name);
        normal.push_str(&word[bare.len()..]);
        normal.push(' ');
    }
    normal.trim_end().to_owned()
}
