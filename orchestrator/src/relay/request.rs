use std::time::{Duration, SystemTime};

use mesh_bus::topology::Stream;
use mesh_bus::{DeadEnd, Stored, Target, topology};
use mesh_core::Content;
use mesh_schemas::generate::catalogue;
use mesh_schemas::payload::{Parent, Rerun, rejection};
use mesh_schemas::{
    DataRef, Decoded, Envelope, EnvelopeError, Frame, ObjectOwner, RequestId, RunId, SpanId, StoredMessage,
    Subject, TaskId, TraceContext, WorkflowName, WorkflowVerb,
};
use mesh_telemetry::{names, propagation, span};
use serde_json::{Map, Value};
use tracing::{Instrument, Span, debug, info};

use super::archived::is_archived;
use super::beginning::beginning;
use super::child::{self, Caller};
use super::reject::{self, Rejection};
use crate::encode;
use crate::lease::Lease;
use crate::observe;
use crate::service::Shared;
use crate::store::{self, Lost};
use crate::trace;

/// After so long it is looked again whether a run is archived, before its beginning is stored.
const LOOKED: Duration = Duration::from_secs(5);
/// Pause before the bus is asked again.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A request that was read.
pub(super) struct Request {
    pub(super) target: Target,
    pub(super) id: RequestId,
    pub(super) run: RunId,
    pub(super) correlation_id: Option<String>,
    /// Id of the event in the envelope; what the run is caused by.
    event_id: String,
    /// Id of the event that led to the request.
    pub(super) causation_id: Option<String>,
    pub(super) trace: Option<TraceContext>,
    pub(super) input: Value,
    pub(super) config: Option<Map<String, Value>>,
    /// Whether its sender gave it an id, so that it can be sent again.
    may_come_again: bool,
    /// The task of another run that it comes from, if it does.
    pub(super) parent: Option<Parent>,
    /// The run that is to be done again, if any.
    pub(super) rerun: Option<Rerun>,
    pub(super) pause_before: Vec<TaskId>,
}

impl Request {
    pub(super) fn correlation_id(&self) -> String {
        self.correlation_id.clone().unwrap_or_else(|| self.run.to_string())
    }
}

/// How a request stands in its trace.
struct Traced {
    /// When it was taken.
    since: SystemTime,
    /// The trace that it came with.
    hop: Option<TraceContext>,
    /// The root of the run, if it is exported.
    root: Option<TraceContext>,
}

/// Starts the run that a request asks for, or rejects the request with every reason.
pub(super) async fn relay(
    shared: &Shared,
    lease: &Lease,
    stored: &StoredMessage,
    target: Target,
    caller: Option<Caller>,
) -> Result<(), Lost> {
    let since = SystemTime::now();
    let shards = loop {
        match shared.bus.shards().await {
            Ok(shards) => break shards,
            Err(_) if lease.is_lost() => return Err(Lost),
            Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
        }
    };
    let decoded = match Envelope::decode(&stored.message.headers, &stored.message.payload) {
        Ok(decoded) => decoded,
        Err(error) => {
            let target = workflow_or_capability(&target);
            let end = DeadEnd::UnreadableRequest;
            return reject::unreadable(shared, lease, end, stored, target, &error.to_string()).await;
        }
    };
    let id = match &caller {
        Some(caller) => caller.request(shared.bus.namespace()),
        None => request_id(shared, stored, decoded.envelope()),
    };
    let run = RunId::for_request(&target.to_string(), &id, shards);
    let envelope = decoded.envelope();
    let reference = envelope.map_or(Ok(None), |event| event.dataref(shared.bus.namespace()));
    let config = envelope.map_or(Ok(None), Envelope::config);
    let wishes = envelope.filter(|_| caller.is_none()).map_or(Ok((None, Vec::new())), wishes);
    let (rerun, pause_before) = wishes.as_ref().ok().cloned().unwrap_or_default();
    let mut request = Request {
        run,
        rerun,
        pause_before,
        config: config.as_ref().ok().cloned().flatten(),
        correlation_id: envelope.and_then(|event| event.correlationid.clone()),
        event_id: envelope.map_or_else(|| id.id.clone(), |event| event.id.clone()),
        causation_id: envelope.and_then(|event| event.causationid.clone()),
        trace: envelope.and_then(Envelope::trace),
        id,
        target,
        may_come_again: envelope.is_some(),
        parent: None,
        input: match decoded {
            Decoded::Event(event) => event.data,
            Decoded::Bare(value) => value,
        },
    };
    let hop = TraceContext::from_headers(&stored.message.headers).or_else(|| request.trace.clone());
    let root = mesh_telemetry::first(&run, SpanId::of_run(&run), hop.as_ref());
    let consumer = if caller.is_some() { topology::TIMERS } else { topology::RELAY };
    let type_ = catalogue::event_type(&stored.message.subject);
    let span = span::process(stored, consumer, hop.as_ref().or(root.as_ref()));
    span.record(names::RUN_ID, tracing::field::display(run))
        .record(names::MESSAGING_CONVERSATION_ID, request.correlation_id())
        .record(names::CLOUDEVENTS_ID, &*request.event_id)
        .record(names::CLOUDEVENTS_TYPE, type_)
        .record(names::MESSAGING_MESSAGE_ID, &*request.event_id)
        .record(names::DELIVERY, span::number(lease.delivered));
    async {
        if let Some(caller) = &caller
            && let Err(error) = child::read(caller, &mut request)
        {
            let rejection = Rejection::new(rejection::MALFORMED, error);
            return reject::request(shared, lease, stored, &request, rejection).await;
        }
        if let Err(error) = config {
            let rejection = Rejection::new(rejection::INVALID_CONFIG, error.to_string());
            return reject::request(shared, lease, stored, &request, rejection).await;
        }
        if let Err(error) = wishes {
            let rejection = Rejection::new(rejection::MALFORMED, error.to_string());
            return reject::request(shared, lease, stored, &request, rejection).await;
        }
        // Kept until the run is started.
        let _room = match reference {
            _ if request.rerun.is_some() => shared.large_requests.acquire().await.ok(),
            Ok(Some(_)) => shared.large_requests.acquire().await.ok(),
            _ => None,
        };
        let member = caller.is_some().then_some("input");
        match input(shared, lease, run, reference, member).await? {
            Ok(None) => {}
            Ok(Some(input)) => request.input = input,
            Err(rejection) => {
                return reject::request(shared, lease, stored, &request, rejection).await;
            }
        }
        start(shared, lease, stored, request, Traced { since, hop, root }).await
    }
    .instrument(span)
    .await
}

/// The run that is to be done again, and the tasks before which the run is to be paused.
fn wishes(envelope: &Envelope) -> Result<(Option<Rerun>, Vec<TaskId>), EnvelopeError> {
    Ok((envelope.rerun()?, envelope.pause_before()?))
}

/// The input that a request refers to, if it does not carry it.
async fn input(
    shared: &Shared,
    lease: &Lease,
    run: RunId,
    reference: Result<Option<DataRef>, EnvelopeError>,
    member: Option<&str>,
) -> Result<Result<Option<Value>, Rejection>, Lost> {
    let malformed = |reason: String| Ok(Err(Rejection::new(rejection::MALFORMED, reason)));
    let reference = match reference {
        Ok(Some(reference)) => reference,
        Ok(None) => return Ok(Ok(None)),
        Err(error) => return malformed(error.to_string()),
    };
    if *reference.object.owner() != ObjectOwner::Run(run) {
        return malformed(format!(
            "dataref: the object does not belong to run {run}, which the request names"
        ));
    }
    match (member, reference.member.as_deref()) {
        (member, kept) if member == kept => {}
        (None, _) => {
            return malformed(
                "dataref: the data of a request is kept as a whole: write no #/<member>".to_owned(),
            );
        }
        (Some(member), _) => return malformed(format!("dataref: of these data, '{member}' may be kept")),
    }
    let (content, _) = store::fetched(&*shared.bus, lease, &reference).await?;
    Ok(match content {
        Content::Found(input) => Ok(Some(input)),
        Content::Lost(error) => {
            let reason = format!("the input is lost: {error}; send the request again with it");
            Err(Rejection::new(rejection::LOST_INPUT, reason))
        }
    })
}

async fn start(
    shared: &Shared,
    lease: &Lease,
    stored: &StoredMessage,
    mut request: Request,
    Traced { since, hop: requester, root }: Traced,
) -> Result<(), Lost> {
    let looked = shared.bus.moment();
    let (name, run, may_come_again) = (workflow(&request.target), request.run, request.may_come_again);
    let archived = async { Ok(may_come_again && is_archived(shared, lease, name.as_ref(), &run).await?) };
    // Two reads that do not depend on each other, of a request that waits for both.
    let (archived, data) = tokio::join!(archived, beginning(shared, lease, &mut request));
    if archived? {
        info!(run = %request.run, "a request that comes again: its run is archived");
        return child::has_started(shared, lease, stored, &request).await;
    }
    if let Some(parent) = &request.parent
        && !child::is_wanted(shared, lease, stored, parent, &request.target).await?
    {
        info!(run = %request.run, "a run that nobody waits for any more is not started");
        return Ok(());
    }
    let data = match data? {
        Ok(data) => data,
        // Another orchestrator may know what this one does not.
        Err(rejection) if rejection.code == rejection::UNUSABLE_WORKFLOW && shared.presence.has_newer() => {
            return super::leave(lease).await;
        }
        Err(rejection) => return reject::request(shared, lease, stored, &request, rejection).await,
    };
    // Reading a run that is done again may take long.
    if request.may_come_again
        && shared.bus.moment().since(looked) > LOOKED
        && is_archived(shared, lease, workflow(&request.target).as_ref(), &request.run).await?
    {
        info!(run = %request.run, "a request that comes again: its run was archived meanwhile");
        return child::has_started(shared, lease, stored, &request).await;
    }
    let hop = propagation::current(&Span::current()).or_else(|| requester.clone());
    let trace = root.clone().or_else(|| request.trace.clone()).or_else(|| hop.clone());
    let correlation_id = request.correlation_id();
    let frame = Frame {
        namespace: shared.bus.namespace(),
        correlation_id: &correlation_id,
        cause: &request.event_id,
        time: stored.time,
        trace: trace.as_ref(),
        hop: hop.as_ref(),
    };
    let started = encode::started(&frame, workflow(&request.target), request.run, &data);
    match store::event(&*shared.bus, lease, &request.run, &started).await? {
        store::Outcome::Stored(Stored::Now(_)) => {
            debug!(run = %request.run, requested = %request.target, "run started");
            observe::began(workflow(&request.target).as_ref());
            if let Some(root) = &root {
                let workflow = workflow(&request.target);
                trace::began(
                    root,
                    requester.as_ref(),
                    &request.run,
                    workflow.as_ref(),
                    &correlation_id,
                    since,
                );
            }
            child::has_started(shared, lease, stored, &request).await
        }
        store::Outcome::Stored(Stored::Already) => {
            reject::if_not_started(shared, lease, stored, &request).await
        }
        store::Outcome::TooLarge(error) => reject::too_large(shared, lease, stored, &request, &error).await,
    }
}

/// What makes the request the same request: the envelope's source and id or, for bare JSON, its place in the
/// inbox.
pub(super) fn request_id(shared: &Shared, stored: &StoredMessage, envelope: Option<&Envelope>) -> RequestId {
    envelope.map_or_else(
        || {
            let time = stored.time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true);
            RequestId {
                source: Stream::Inbox.name(shared.bus.namespace()),
                id: format!("{time}-{}", stored.sequence),
            }
        },
        |event| RequestId { source: event.source.clone(), id: event.id.clone() },
    )
}

/// Subject of `started` for a request.
pub(super) fn started_subject(request: &Request) -> Subject {
    Subject::Workflow { verb: WorkflowVerb::Started, workflow: workflow(&request.target), run: request.run }
}

fn workflow(target: &Target) -> Option<WorkflowName> {
    match target {
        Target::Workflow(workflow) => Some(workflow.clone()),
        Target::Task(_) => None,
    }
}

/// The token that names what was asked for, in the subject of a rejection.
pub(super) fn workflow_or_capability(target: &Target) -> Option<WorkflowName> {
    match target {
        Target::Workflow(workflow) => Some(workflow.clone()),
        Target::Task(capability) => capability.as_str().parse().ok(),
    }
}
