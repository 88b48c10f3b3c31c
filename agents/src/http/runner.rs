use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use http_body_util::Full;
use hyper_util::client::legacy;
use mesh_schemas::payload::{TaskCreated, code};

use super::client::{Client, client, url};
use super::{Http, HttpError, answer, headers};
use crate::context::Context;
use crate::failure::TaskFailure;
use crate::handler::{Handler, Handling, Output};
use crate::runner;

/// The handler that an HTTP service becomes.
pub(crate) struct Runner(Arc<Service>);

struct Service {
    client: Client,
    url: Uri,
    headers: HeaderMap,
    output_limit: usize,
}

impl Http {
    /// Whether there can be requests, as an agent finds out when it starts. Nothing is sent.
    ///
    /// # Errors
    /// [`HttpError`] if the URL, a header or the authority's certificate cannot be used.
    pub fn check(&self) -> Result<(), HttpError> {
        self.clone().prepare().map(drop)
    }

    /// The handler, if there can be requests.
    pub(crate) fn prepare(self) -> Result<Runner, HttpError> {
        let url = url(&self.url)?;
        let client = client(&url, self.ca.as_deref())?;
        let headers = headers::common(&self.headers)?;
        Ok(Runner(Arc::new(Service { client, url, headers, output_limit: self.output_limit })))
    }
}

impl Handler for Runner {
    fn handle(&self, context: Context, task: TaskCreated) -> Handling {
        let service = Arc::clone(&self.0);
        Box::pin(async move {
            tokio::select! {
                biased;
                () = context.cancellation().cancelled() => Err(runner::cancelled()),
                outcome = service.ask(&context, &task) => outcome,
            }
        })
    }
}

impl Service {
    async fn ask(&self, context: &Context, task: &TaskCreated) -> Result<Output, TaskFailure> {
        let mut request =
            Request::post(&self.url).body(Full::new(Bytes::from(serde_json::to_vec(&task.input)?)))?;
        request.headers_mut().clone_from(&self.headers);
        headers::tell(request.headers_mut(), runner::facts(context));
        let response = self.client.request(request).await.map_err(|error| self.unanswered(&error))?;
        answer::read(response, self.output_limit, context.0.common.bus.now().into()).await
    }

    fn unanswered(&self, error: &legacy::Error) -> TaskFailure {
        if !error.is_connect() {
            return answer::broken(error);
        }
        // Not the whole URL: there may be a secret in the rest of it.
        let host = self.url.authority().map_or("", |authority| authority.as_str());
        let message = format!("the service at {host} cannot be reached: {}", answer::causes(error));
        TaskFailure::retryable(code::HTTP_UNREACHABLE, message)
    }
}
