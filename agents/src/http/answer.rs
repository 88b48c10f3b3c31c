//! What an answer means.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::LOCATION;
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};

use super::retry_after;
use crate::failure::TaskFailure;
use crate::handler::Output;
use crate::runner;

/// How much of the body of a failure is read. More than is quoted: a body that was read to its end leaves a
/// connection that can be used again.
const FAILURE_BODY: usize = 16 * 1024;
/// How long the body of a failure may take: the status has said what matters.
const FAILURE_TIME: Duration = Duration::from_secs(5);
/// How much of it is quoted, in bytes.
const QUOTED: usize = 1024;

/// Why a body was not read to its end.
enum Unread {
    TooLarge,
    Broken(hyper::Error),
}

/// The outcome that an answer tells of.
pub(super) async fn read(
    response: Response<Incoming>,
    limit: usize,
    now: SystemTime,
) -> Result<Output, TaskFailure> {
    let status = response.status();
    if !status.is_success() {
        return Err(failure(response, now).await);
    }
    let is_too_large = response.body().size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX);
    if is_too_large {
        return Err(runner::too_large(limit));
    }
    let mut body = Vec::new();
    match collect(response.into_body(), limit, &mut body).await {
        Ok(()) => runner::read_output(&body),
        Err(Unread::TooLarge) => Err(runner::too_large(limit)),
        Err(Unread::Broken(error)) => Err(broken(&error)),
    }
}

/// The connection broke, or what came over it is not HTTP.
pub(super) fn broken(error: &(dyn std::error::Error + 'static)) -> TaskFailure {
    TaskFailure::retryable(
        mesh_schemas::payload::code::HTTP_BROKEN,
        format!("the service did not answer in full: {}", causes(error)),
    )
}

/// An error with its causes.
pub(super) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn failure(response: Response<Incoming>, now: SystemTime) -> TaskFailure {
    let status = response.status();
    let pause = retry_after::pause(response.headers(), now);
    let location = response
        .headers()
        .get(LOCATION)
        .map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned());
    let mut body = Vec::new();
    // What can be had of it is enough.
    let reading = collect(response.into_body(), FAILURE_BODY, &mut body);
    let _ = tokio::time::timeout(FAILURE_TIME, reading).await;
    let failure = of(status, location.as_deref(), &runner::beginning(&body, QUOTED));
    match pause {
        Some(pause) if failure.is_retryable() => failure.retry_after(pause),
        _ => failure,
    }
}

fn of(status: StatusCode, location: Option<&str>, body: &str) -> TaskFailure {
    let code = format!("http_{}", status.as_u16());
    let message = match location.filter(|_| status.is_redirection()) {
        Some(location) => {
            format!("the service answered {status} and pointed to {location}: redirects are not followed")
        }
        None if body.is_empty() => format!("the service answered {status}"),
        None => body.to_owned(),
    };
    let is_retryable =
        matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)
            || status.is_server_error();
    if is_retryable { TaskFailure::retryable(code, message) } else { TaskFailure::fatal(code, message) }
}

/// Reads a body to its end, or until it is too much.
async fn collect(mut body: Incoming, limit: usize, read: &mut Vec<u8>) -> Result<(), Unread> {
    while let Some(frame) = body.frame().await {
        let data: Bytes = frame.map_err(Unread::Broken)?.into_data().unwrap_or_default();
        if read.len() + data.len() > limit {
            read.extend_from_slice(&data[..limit - read.len()]);
            return Err(Unread::TooLarge);
        }
        read.extend_from_slice(&data);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_told_apart() {
        let retryable = [408, 425, 429, 500, 502, 503, 504, 599];
        for status in 300..600 {
            let failure = of(StatusCode::from_u16(status).expect("a status"), None, "why");
            assert_eq!(failure.code(), format!("http_{status}"));
            assert_eq!(failure.message(), "why");
            assert_eq!(failure.is_retryable(), status >= 500 || retryable.contains(&status), "{status}");
        }
    }

    #[test]
    fn failures_say_what_there_is_to_say() {
        let gone = of(StatusCode::GONE, Some("/elsewhere"), "");
        assert_eq!(gone.message(), "the service answered 410 Gone");
        let moved = of(StatusCode::FOUND, Some("/elsewhere"), "<html>");
        assert!(moved.message().contains("302 Found and pointed to /elsewhere"), "{moved}");
    }
}
