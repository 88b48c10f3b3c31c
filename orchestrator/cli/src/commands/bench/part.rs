//! A part of the mesh that is measured: a process of its own, or a task of this one.

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::task::JoinHandle;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

use crate::process::Process;

pub(super) enum Part {
    Process(Process),
    Here {
        stop: CancellationToken,
        ended: Shared<BoxFuture<'static, String>>,
        abort: tokio::task::AbortHandle,
    },
}

impl Part {
    /// Has it done by a task of this process.
    pub(super) fn here(
        work: impl Future<Output = anyhow::Result<()>> + Send + 'static,
        stop: CancellationToken,
    ) -> Self {
        let task: JoinHandle<anyhow::Result<()>> = tokio::spawn(work);
        let abort = task.abort_handle();
        let ended = async move {
            match task.await {
                Ok(Ok(())) => "nothing".to_owned(),
                Ok(Err(error)) => format!("{error:#}"),
                Err(died) => died.to_string(),
            }
        };
        Self::Here { stop, ended: ended.boxed().shared(), abort }
    }

    /// Its process id, if it is a process.
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Process(process) => Some(process.pid()),
            Self::Here { .. } => None,
        }
    }

    /// Waits until it ends, and gives what it said last.
    pub(super) async fn ended(&self) -> String {
        match self {
            Self::Process(process) => {
                process.ended().await;
                process.last_words()
            }
            Self::Here { ended, .. } => ended.clone().await,
        }
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) -> anyhow::Result<()> {
        match self {
            Self::Process(process) => process.terminate(),
            Self::Here { stop, .. } => {
                stop.cancel();
                Ok(())
            }
        }
    }

    /// Waits for its end, which it was asked for, and ends it by force if that takes longer.
    pub(super) async fn gone(&self, within: Duration) -> anyhow::Result<()> {
        if timeout(within, self.ended()).await.is_err() {
            match self {
                Self::Process(process) => process.kill().await?,
                Self::Here { abort, .. } => abort.abort(),
            }
        }
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Self::Here { abort, .. } = self {
            abort.abort();
        }
    }
}
