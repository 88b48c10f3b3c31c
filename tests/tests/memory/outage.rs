//! A server that is away for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures::StreamExt as _;
use mesh_bus::Bus as _;
use mesh_bus::memory::MemoryServer;
use mesh_bus::topology::{Bucket, Topology};
use mesh_schemas::Namespace;

/// Counts how often somebody is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What has come due meanwhile waits for the server, and so does who reads along: without turning in circles.
#[tokio::test(start_paused = true)]
async fn who_reads_along_sleeps_until_the_server_is_back() -> Result<()> {
    let server = MemoryServer::new(Namespace::default());
    let bus = server.connect();
    bus.set_up(&Topology::default()).await?;
    let ttl = Duration::from_secs(10);
    bus.put(Bucket::Agents, "a", Bytes::from_static(b"{}"), Some(ttl)).await?;
    let mut watch = bus.watch(Bucket::Agents).await?;
    ensure!(watch.next().await.context("an entry")??.is_some_and(|entry| !entry.deleted), "it is there");
    ensure!(watch.next().await.context("the end of the present")??.is_none(), "it is all there is");
    server.stop();
    tokio::time::advance(2 * ttl).await;
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    ensure!(watch.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending(), "nothing can be read");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(woken.0.load(Ordering::Relaxed), 0, "it is woken for nothing");
    server.start();
    assert!(woken.0.load(Ordering::Relaxed) > 0, "the server is back");
    let Poll::Ready(gone) = watch.poll_next_unpin(&mut Context::from_waker(&waker)) else {
        anyhow::bail!("the entry is over");
    };
    ensure!(gone.context("an entry")??.is_some_and(|entry| entry.deleted), "it is gone");
    Ok(())
}
