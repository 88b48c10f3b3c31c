//! A door between two servers that can be shut.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes connections on to another port of this machine while it is open; shut, it cuts those there are and takes no
/// new ones.
#[derive(Debug)]
pub struct Gate {
    port: u16,
    is_open: watch::Sender<bool>,
    door: JoinHandle<()>,
}

impl Gate {
    /// An open gate to a port.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn to(target: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("find a free port")?;
        let port = listener.local_addr()?.port();
        let (is_open, open) = watch::channel(true);
        let door = tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                if *open.borrow() {
                    tokio::spawn(pass(from, target, open.clone()));
                }
            }
        });
        Ok(Self { port, is_open, door })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Opens or shuts it.
    pub fn set_open(&self, is_open: bool) {
        self.is_open.send_replace(is_open);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.door.abort();
    }
}

async fn pass(mut from: TcpStream, target: u16, mut open: watch::Receiver<bool>) {
    let Ok(mut to) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else { return };
    tokio::select! {
        // Whichever side ends first ends both.
        _ = copy_bidirectional(&mut from, &mut to) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}
