//! The spans of a run as OTLP has them in JSON (opentelemetry-proto, `ExportTraceServiceRequest`): ids in hexadecimal, names in
//! camel case, times in nanoseconds as text, kinds and statuses as numbers.

mod span;
mod spans;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use mesh_schemas::Namespace;
use serde::Serialize;

use super::story::Story;
use span::{Attribute, Span, attributes};

/// What programs are sent that take in spans.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExportRequest {
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans {
    resource: Resource,
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Debug, Serialize)]
struct Resource {
    attributes: Vec<Attribute>,
}

#[derive(Debug, Serialize)]
struct ScopeSpans {
    scope: Scope,
    spans: Vec<Span>,
}

#[derive(Debug, Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

/// The spans of a run and of those that it started. What goes on ends now.
pub(super) fn request(namespace: &Namespace, story: &Story, now: DateTime<Utc>) -> ExportRequest {
    let scope = Scope { name: "mesh trace", version: env!("CARGO_PKG_VERSION") };
    let spans = spans::of(namespace, story, now);
    let resource = Resource {
        attributes: attributes([
            ("service.name", "mesh".to_owned()),
            ("service.namespace", namespace.to_string()),
        ]),
    };
    ExportRequest {
        resource_spans: vec![ResourceSpans { resource, scope_spans: vec![ScopeSpans { scope, spans }] }],
    }
}
