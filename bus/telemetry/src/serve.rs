//! The endpoint where a process tells how it is: `/metrics`, `/healthz` and `/readyz`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use crate::metrics;

/// Where a process tells how it is, if nothing else is said: on this machine only.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:9464";
/// Most connections at once: more than a collector and a supervisor need.
const MOST_CONNECTIONS: usize = 32;
/// How long a client may take to send its request.
const HEADERS: Duration = Duration::from_secs(5);
/// How long all of it may take, the answer included.
const CONNECTION: Duration = Duration::from_secs(15);
/// Most bytes of a request's head; what is longer is refused.
const MOST_BYTES: usize = 16 * 1024;
/// Pause when no connection can be taken, as when there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// What is wrong with the process, in words, one line each; nothing if all is well.
pub type Problems = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// The endpoint; it is closed when this is dropped.
#[derive(Debug)]
#[must_use = "the endpoint is closed when this is dropped"]
pub struct Endpoint {
    address: SocketAddr,
    _listening: AbortOnDropHandle<()>,
}

impl Endpoint {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Opens the endpoint and records metrics from now on. `service` is the process's name in them.
///
/// # Errors
/// If the address cannot be had.
pub async fn serve(service: &str, address: SocketAddr, problems: Problems) -> io::Result<Endpoint> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    metrics::collect(service);
    let listening = AbortOnDropHandle::new(tokio::spawn(listen(listener, problems)));
    tracing::info!(%address, "metrics and health are told here: /metrics, /healthz, /readyz");
    Ok(Endpoint { address, _listening: listening })
}

async fn listen(listener: TcpListener, problems: Problems) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    // Nobody closes it.
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let problems = Arc::clone(&problems);
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(CONNECTION, answer(stream, problems)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection was not taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, problems: Problems) {
    let respond = service_fn(move |request: Request<Incoming>| {
        let response = respond(request.method(), request.uri().path(), &problems);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .keep_alive(false)
        .max_buf_size(MOST_BYTES)
        .serve_connection(TokioIo::new(stream), respond);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a request for metrics or health was not answered");
    }
}

fn respond(method: &Method, path: &str, problems: &Problems) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n".to_owned());
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => {
            let mut response = text(StatusCode::OK, metrics::metrics());
            let type_ = header::HeaderValue::from_static(metrics::CONTENT_TYPE);
            response.headers_mut().insert(header::CONTENT_TYPE, type_);
            response
        }
        "/healthz" => text(StatusCode::OK, "alive\n".to_owned()),
        "/readyz" => match problems() {
            wrong if wrong.is_empty() => text(StatusCode::OK, "ready\n".to_owned()),
            wrong => text(StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", wrong.join("\n"))),
        },
        _ => text(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n".to_owned()),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let type_ = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, type_);
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn open(wrong: Vec<String>) -> Endpoint {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        serve("test", any, Arc::new(move || wrong.clone())).await.expect("a free port")
    }

    /// All that is answered to what is sent.
    async fn send(endpoint: &Endpoint, request: &str) -> String {
        let mut stream = TcpStream::connect(endpoint.address()).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    async fn get(endpoint: &Endpoint, path: &str) -> String {
        send(endpoint, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await
    }

    #[tokio::test]
    async fn it_tells_how_the_process_is() {
        let well = open(Vec::new()).await;
        assert!(get(&well, "/healthz").await.starts_with("HTTP/1.1 200 "));
        assert!(get(&well, "/readyz").await.ends_with("\r\n\r\nready\n"));
        metrics::table::RUNS_STARTED.add(1, ["told"]);
        let told = get(&well, "/metrics").await;
        assert!(told.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{told}");
        assert!(told.contains("mesh_runs_started_total{workflow=\"told\"} 1\n"), "{told}");
        let ill = open(vec!["no connection".to_owned(), "no room".to_owned()]).await;
        let told = get(&ill, "/readyz").await;
        assert!(
            told.starts_with("HTTP/1.1 503 ") && told.ends_with("\r\n\r\nno connection\nno room\n"),
            "{told}"
        );
        assert!(get(&ill, "/healthz").await.starts_with("HTTP/1.1 200 "), "it is alive");
    }

    #[tokio::test]
    async fn what_is_no_request_for_that_is_refused() {
        let endpoint = open(Vec::new()).await;
        assert!(get(&endpoint, "/").await.starts_with("HTTP/1.1 404 "));
        let post = "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
        assert!(send(&endpoint, post).await.starts_with("HTTP/1.1 405 "));
        assert!(!send(&endpoint, "rubbish\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(2 * MOST_BYTES));
        let mut stream = TcpStream::connect(endpoint.address()).await.expect("connected");
        // It may be refused before all is sent.
        let _ = stream.write_all(long.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200 "));
    }

    /// Who says nothing is let go, and then others are answered.
    #[tokio::test]
    async fn clients_that_say_nothing_keep_nobody_out_for_long() {
        let endpoint = open(Vec::new()).await;
        let mut silent = Vec::new();
        for _ in 0..MOST_CONNECTIONS {
            silent.push(TcpStream::connect(endpoint.address()).await.expect("connected"));
        }
        let begun = std::time::Instant::now();
        assert!(get(&endpoint, "/healthz").await.starts_with("HTTP/1.1 200 "));
        assert!(begun.elapsed() < CONNECTION, "{:?}", begun.elapsed());
        drop(silent);
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_an_error() {
        let first = open(Vec::new()).await;
        let again = serve("test", first.address(), Arc::new(Vec::new)).await;
        assert_eq!(again.map(drop).map_err(|error| error.kind()), Err(io::ErrorKind::AddrInUse));
    }
}
