use tokio_util::sync::CancellationToken;

/// A token that is cancelled when the process is asked to stop, by SIGTERM or Ctrl-C.
///
/// # Errors
/// If the operating system does not let the process listen for signals.
pub fn stop_signal() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let token = stop.clone();
    tokio::spawn(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
        tracing::info!("asked to stop");
        token.cancel();
    });
    Ok(stop)
}
