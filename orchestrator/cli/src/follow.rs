//! Reading streams, for as long as it takes.

use std::future::ready;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, BusError, Follow, From};
use mesh_schemas::StoredMessage;

/// Pause before a stream is read on that could not be read.
const PAUSE: Duration = Duration::from_millis(250);

/// Follows a stream through losses of the connection: it goes on where it was when the connection is back.
pub(crate) async fn follow(
    bus: &dyn Bus,
    stream: Stream,
    filters: Vec<String>,
    from: From,
) -> Result<Follow, BusError> {
    let messages = bus.follow(stream, filters, from).await?;
    let steady = messages.filter_map(|message| async {
        match message {
            Err(error) if error.is_retryable() => {
                tracing::debug!(%error, "reading on");
                tokio::time::sleep(PAUSE).await;
                None
            }
            message => Some(message),
        }
    });
    Ok(steady.boxed())
}

/// Asks until there is an answer, through losses of the connection.
pub(crate) async fn ask<T, F: Future<Output = Result<T, BusError>>>(
    mut question: impl FnMut() -> F,
) -> Result<T, BusError> {
    loop {
        match question().await {
            Err(error) if error.is_retryable() => {
                tracing::debug!(%error, "asking again");
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}

/// What a stream holds on these subjects now, in order.
pub(crate) async fn present(
    bus: &dyn Bus,
    stream: Stream,
    filters: Vec<String>,
    from: From,
) -> Result<BoxStream<'static, Result<StoredMessage, BusError>>, BusError> {
    let messages = follow(bus, stream, filters, from).await?;
    let up_to_now = messages.map(Result::transpose).take_while(|message| ready(message.is_some()));
    Ok(up_to_now.filter_map(ready).boxed())
}
