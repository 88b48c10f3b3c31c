use mesh_bus::topology::{Bucket, Stream};
use mesh_bus::{BusError, DeadEnd, Publish};
use mesh_core::{Event, Unreadable};
use mesh_schemas::payload::{RequestRejected, rejection};
use mesh_schemas::{Frame, RequestId, RunId, Shards, StoredMessage, Subject, TraceContext, WorkflowName};
use mesh_telemetry::span;
use tracing::{Span, debug, info, warn};
use uuid::Uuid;

use super::child;
use super::request::{Request, request_id, started_subject, workflow_or_capability};
use crate::encode;
use crate::lease::Lease;
use crate::observe;
use crate::service::Shared;
use crate::store::{self, Lost};

/// Reasons that are told where all of them together are too large for one event.
const MAX_REASONS: usize = 100;

/// Why a request starts no run.
pub(super) struct Rejection {
    pub(super) code: &'static str,
    pub(super) reasons: Vec<String>,
}

impl Rejection {
    pub(super) fn new(code: &'static str, reason: String) -> Self {
        Self { code, reasons: vec![reason] }
    }
}

/// Tells the requester why its request starts no run. A repetition of a request whose run was started is not
/// rejected, whatever has become of the definition since.
pub(super) async fn request(
    shared: &Shared,
    lease: &Lease,
    stored: &StoredMessage,
    request: &Request,
    rejection: Rejection,
) -> Result<(), Lost> {
    let started = started_subject(request).render(shared.bus.namespace());
    match shared.bus.last(Stream::Events, &started).await {
        Ok(Some(_)) => return child::has_started(shared, lease, stored, request).await,
        Ok(None) => {}
        Err(error) => {
            info!(%error, "the log cannot be read: the request will be delivered again");
            return Err(Lost);
        }
    }
    tell_requester(shared, lease, stored, request, rejection).await
}

/// Rejects a request whose run has something as its first event that cannot be one: nothing can take its place. A
/// request that only came again is fine.
pub(super) async fn if_not_started(
    shared: &Shared,
    lease: &Lease,
    stored: &StoredMessage,
    request: &Request,
) -> Result<(), Lost> {
    let subject = started_subject(request).render(shared.bus.namespace());
    let first = match shared.bus.last(Stream::Events, &subject).await {
        Ok(Some(first)) => first,
        // It was there a moment ago: the server that answered is behind, or it was removed with its run.
        Ok(None) => return Err(Lost),
        Err(error) => {
            info!(%error, "the log cannot be read: the request will be delivered again");
            return Err(Lost);
        }
    };
    let error = match Event::read(shared.bus.namespace(), &first) {
        Ok(_) | Err(Unreadable::Elsewhere(_)) => {
            return child::has_started(shared, lease, stored, request).await;
        }
        Err(error) => error,
    };
    let reason = format!(
        "the run {} cannot start: what somebody published on {subject} is no beginning of a run ({error}). Send the \
         request under another id",
        request.run
    );
    tell_requester(shared, lease, stored, request, Rejection::new(rejection::RUN_ID_TAKEN, reason)).await
}

/// Puts a request aside whose run cannot begin for want of room, and tells the requester.
pub(super) async fn too_large(
    shared: &Shared,
    lease: &Lease,
    stored: &StoredMessage,
    request: &Request,
    error: &str,
) -> Result<(), Lost> {
    store::letter(&*shared.bus, lease, DeadEnd::LargeRequest, stored, error).await?;
    let reason = format!("the first event of the run would be too large: {error}");
    tell_requester(shared, lease, stored, request, Rejection::new(rejection::MALFORMED, reason)).await
}

async fn tell_requester(
    shared: &Shared,
    lease: &Lease,
    stored: &StoredMessage,
    request: &Request,
    rejection: Rejection,
) -> Result<(), Lost> {
    child::was_refused(shared, lease, stored, request, &rejection).await?;
    let (name, correlation_id) = (workflow_or_capability(&request.target), request.correlation_id());
    tell(shared, lease, stored, name, &request.id, request.run.uuid(), &correlation_id, rejection).await
}

/// A request for a target, if that can be told, that cannot be read: a dead letter, and a rejection for whoever waits.
pub(super) async fn unreadable(
    shared: &Shared,
    lease: &Lease,
    end: DeadEnd,
    stored: &StoredMessage,
    target: Option<WorkflowName>,
    error: &str,
) -> Result<(), Lost> {
    store::letter(&*shared.bus, lease, end, stored, error).await?;
    let id = request_id(shared, stored, None);
    let run = RunId::for_request("malformed", &id, Shards::default());
    let rejection = Rejection::new(rejection::MALFORMED, error.to_owned());
    let correlation_id = run.uuid().to_string();
    tell(shared, lease, stored, target, &id, run.uuid(), &correlation_id, rejection).await
}

/// The rejection of a request for a workflow that nobody applied.
pub(super) async fn unknown_workflow(shared: &Shared, name: &WorkflowName) -> Result<Rejection, BusError> {
    let entries = shared.bus.entries(Bucket::Workflows).await?;
    let nearest = entries
        .iter()
        .map(|entry| entry.key.as_str())
        .filter(|key| !key.contains('.'))
        .map(|key| (strsim::jaro_winkler(key, name.as_str()), key))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, key)| format!("; did you mean '{key}'?"));
    let hint =
        nearest.unwrap_or_else(|| "; apply its definition first (`mesh workflow apply FILE`)".to_owned());
    Ok(Rejection::new(rejection::UNKNOWN_WORKFLOW, format!("no workflow '{name}' is registered{hint}")))
}

#[allow(clippy::too_many_arguments, reason = "each is one attribute of the event")]
async fn tell(
    shared: &Shared,
    lease: &Lease,
    stored: &StoredMessage,
    name: Option<WorkflowName>,
    request: &RequestId,
    id: Uuid,
    correlation_id: &str,
    rejection: Rejection,
) -> Result<(), Lost> {
    // Reasons quote what was sent, and are for who sent it.
    let count = rejection.reasons.len();
    let told = format!("{count} reasons, which request.rejected gives");
    span::put_aside(&Span::current(), stored, rejection.code, &told);
    info!(request.source, request.id, code = rejection.code, reasons = count, "request rejected");
    debug!(request.source, request.id, reasons = ?rejection.reasons, "why it was rejected");
    observe::rejected(rejection.code);
    let mut data = RequestRejected {
        subject: stored.message.subject.clone(),
        request: request.clone(),
        code: rejection.code.to_owned(),
        reasons: rejection.reasons,
    };
    let trace = TraceContext::from_headers(&stored.message.headers);
    let frame = Frame {
        namespace: shared.bus.namespace(),
        correlation_id,
        cause: &request.id,
        time: stored.time,
        trace: trace.as_ref(),
        hop: trace.as_ref(),
    };
    let subject = Subject::RequestRejected { name, id };
    let message = Publish::plain(encode::message(&frame, &subject, &data));
    if let store::Outcome::TooLarge(_) = store::message(&*shared.bus, lease, message).await? {
        // Reasons quote the input, and what the requester calls the work may be as long as it likes.
        let more = data.reasons.len().saturating_sub(MAX_REASONS);
        data.reasons = data.reasons.iter().take(MAX_REASONS).map(|reason| store::shorten(reason)).collect();
        if more > 0 {
            data.reasons.push(format!("and {more} more reasons"));
        }
        let id = id.to_string();
        let frame = Frame { correlation_id: &id, ..frame };
        let message = Publish::plain(encode::message(&frame, &subject, &data));
        if let store::Outcome::TooLarge(error) = store::message(&*shared.bus, lease, message).await? {
            warn!(error, "the requester cannot be told");
        }
    }
    Ok(())
}
