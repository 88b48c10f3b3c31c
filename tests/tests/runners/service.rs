//! An HTTP service that answers what it is asked to answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail};
use mesh_tests::patiently;
use serde_json::Value;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
    BufReader,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The service. The body of a request is a list of answers as they stand on the wire, one for each attempt, or the
/// word `hang` (no answer) or `endless` (a body without end).
pub(crate) struct Service {
    pub(crate) port: u16,
    accepted: Arc<AtomicUsize>,
    events: mpsc::UnboundedReceiver<Event>,
    accepting: JoinHandle<()>,
}

/// What a service notices.
#[derive(Debug)]
pub(crate) enum Event {
    /// A request came.
    Asked(Request),
    /// The client closed a connection on which it was owed an answer.
    HungUp,
}

#[derive(Debug)]
pub(crate) struct Request {
    /// Method and path.
    pub(crate) line: String,
    /// By name in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl Service {
    /// Starts a service on a free port.
    pub(crate) async fn start() -> Result<Self> {
        Self::start_with(|stream| async { Ok(stream) }).await
    }

    /// Starts a service that first does something with every connection, such as to encrypt it.
    pub(crate) async fn start_with<S, F>(
        wrap: impl Fn(tokio::net::TcpStream) -> F + Send + Sync + 'static,
    ) -> Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
        F: Future<Output = std::io::Result<S>> + Send,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (sender, events) = mpsc::unbounded_channel();
        let (count, wrap) = (Arc::clone(&accepted), Arc::new(wrap));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (sender, wrap) = (sender.clone(), Arc::clone(&wrap));
                tokio::spawn(async move {
                    // A client that goes away is no error of the service.
                    if let Ok(stream) = wrap(stream).await {
                        let _ = serve(stream, sender).await;
                    }
                });
            }
        });
        Ok(Self { port, accepted, events, accepting })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/work?key=hunter2", self.port)
    }

    /// How many connections were made.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Waits for a request.
    pub(crate) async fn asked(&mut self) -> Result<Request> {
        match self.event().await? {
            Event::Asked(request) => Ok(request),
            Event::HungUp => bail!("the client hung up"),
        }
    }

    /// Waits until a client closes a connection on which it was owed an answer.
    pub(crate) async fn hung_up(&mut self) -> Result<()> {
        match self.event().await? {
            Event::HungUp => Ok(()),
            Event::Asked(request) => bail!("the client asked again: {request:?}"),
        }
    }

    async fn event(&mut self) -> Result<Event> {
        patiently("the service to be used", self.events.recv()).await?.context("the service ended")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    events: mpsc::UnboundedSender<Event>,
) -> Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await? {
        let attempt: usize = request.headers.get("mesh-attempt").context("no attempt")?.parse()?;
        let wanted = request.body.clone();
        let _ = events.send(Event::Asked(request));
        match &wanted {
            Value::String(word) if word == "hang" => {
                stream.read_to_end(&mut Vec::new()).await?;
                let _ = events.send(Event::HungUp);
            }
            Value::String(_) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
                while stream.write_all(b"8\r\nxxxxxxxx\r\n").await.is_ok() && stream.flush().await.is_ok() {}
                let _ = events.send(Event::HungUp);
            }
            answers => {
                let answer = answers[attempt - 1].as_str().context("no answer for this attempt")?;
                stream.write_all(answer.as_bytes()).await?;
                stream.flush().await?;
                if answer.contains("connection: close") {
                    stream.shutdown().await?;
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

async fn read(stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin)) -> Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").context("no content length")?.parse()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let line = line.trim_end().to_owned();
    Ok(Some(Request { line, headers, body: serde_json::from_slice(&body)? }))
}

/// An answer as it stands on the wire.
pub(crate) fn answer(status: &str, headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}
