use std::fmt;
use std::path::PathBuf;

use crate::runner::DEFAULT_OUTPUT_LIMIT;

/// An HTTP service that does tasks: give it to [`AgentBuilder::http`](crate::AgentBuilder::http).
///
/// ```no_run
/// use mesh_agents::{Agent, Http};
///
/// # async fn example(key: &str) -> Result<(), mesh_agents::AgentError> {
/// let score = Http::new("https://scores.example.com/v1/score").header("authorization", format!("Bearer {key}"));
/// Agent::builder("scores").http("score", score).run().await
/// # }
/// ```
///
/// **Request.** `POST` with the task's input as JSON. Headers: `content-type` and `accept` are `application/json`;
/// `mesh-run-id`, `mesh-workflow`, `mesh-task`, `mesh-attempt`, `mesh-delivery`, `mesh-correlation-id`, `mesh-agent`,
/// `mesh-capability` and `idempotency-key` tell which task it is, and so do, where there is such a thing,
/// `mesh-action`, `mesh-deadline` (RFC 3339), `traceparent` and `tracestate` (W3C Trace Context). The idempotency key
/// is the same for every attempt of a task. Percent signs, spaces, double quotes and all that is not printable ASCII
/// are percent-encoded, as in CloudEvents.
///
/// **Answer.** A status of 2xx is success, and the body is the output, as JSON; no body is `null`. Anything else is a
/// failure, whose message is the beginning of the body:
///
/// | Code | When | Tried again |
/// |---|---|---|
/// | `http_N` | status 408 (Request Timeout), 425 (Too Early), 429 (Too Many Requests) or 5xx | yes, not before `Retry-After` |
/// | `http_N` | any other status: redirects are not followed | no |
/// | `http_unreachable` | no connection: name, address, TLS, or 10 seconds without an answer | yes |
/// | `http_broken` | the connection broke, or what came is not HTTP | yes |
/// | `timeout` | no answer before the task's deadline | yes |
/// | `invalid_output` | status 2xx and a body that is not JSON | no: the work is done |
/// | `output_too_large` | status 2xx and a body over [`Http::output_limit`] | no |
///
/// `Retry-After` may be seconds or a date, which counts from the answer's own `Date` if it has one.
///
/// Connections (HTTP/1.1) are kept and used again. A request whose task is cancelled or whose time is over is dropped,
/// and its connection closed. Proxies are not used. A task without a timeout waits as long as its run may take: give it
/// one.
#[derive(Clone)]
pub struct Http {
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) ca: Option<PathBuf>,
    pub(super) output_limit: usize,
}

impl Http {
    /// A service at a URL, `http://…` or `https://…`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), headers: Vec::new(), ca: None, output_limit: DEFAULT_OUTPUT_LIMIT }
    }

    /// Adds a header to every request. Those that tell of the task cannot be set here.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// PEM file of the authorities that may have signed the service's certificate, in place of those that the system
    /// trusts.
    #[must_use]
    pub fn ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca = Some(path.into());
        self
    }

    /// Most bytes that the body of an answer may have (default [`DEFAULT_OUTPUT_LIMIT`]).
    #[must_use]
    pub fn output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }
}

impl fmt::Debug for Http {
    /// Tells which headers are set and never a value, and not the whole URL: there may be secrets in both.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Http").field("headers", &headers).field("ca", &self.ca).finish_non_exhaustive()
    }
}
