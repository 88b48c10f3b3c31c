//! A pipe with a name, by which a test learns what a process says and when the last that has it open is gone.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};
use tokio::sync::mpsc;

use crate::world::patiently;

/// What was written to the pipe, by the lines. Processes open it for writing; dropping this removes it.
#[derive(Debug)]
pub struct Fifo {
    folder: PathBuf,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Fifo {
    /// A new pipe in a folder of its own.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("mesh-fifo-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder)?;
        let path = folder.join("fifo");
        ensure!(Command::new("mkfifo").arg(&path).status()?.success(), "mkfifo failed");
        let (sender, lines) = mpsc::unbounded_channel();
        // Opening blocks until a process writes: this thread is not waited for if none ever does.
        std::thread::spawn(move || {
            let Ok(file) = File::open(path) else { return };
            for line in BufReader::new(file).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Ok(Self { folder, lines })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join("fifo")
    }

    /// A folder for this test alone.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits for a line.
    ///
    /// # Errors
    /// If everybody closes it, or none comes in time.
    pub async fn line(&mut self) -> Result<String> {
        patiently("a line in the pipe", self.lines.recv()).await?.context("nobody has the pipe open any more")
    }

    /// Waits for this line.
    ///
    /// # Errors
    /// If another comes, or none in time.
    pub async fn says(&mut self, expected: &str) -> Result<()> {
        let line = self.line().await.with_context(|| format!("waiting for '{expected}'"))?;
        ensure!(line == expected, "instead of '{expected}' came '{line}'");
        Ok(())
    }

    /// Waits until nobody has the pipe open.
    ///
    /// # Errors
    /// If a line comes, or nothing in time.
    pub async fn ends(&mut self) -> Result<()> {
        let line = patiently("the end of all that have the pipe open", self.lines.recv()).await?;
        ensure!(line.is_none(), "instead of the end came {line:?}");
        Ok(())
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
