//! A collector of spans: takes what is exported by OTLP over HTTP with protobuf bodies, and prints each span as a JSON object
//! on a line of stdout. The first line says at which address it listens: `collector` or `collector 127.0.0.1:4318`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use anyhow::{Context as _, Result};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value, json};

fn main() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(&address).with_context(|| format!("listen at {address}"))?;
    println!("{}", json!({ "listens": listener.local_addr()?.to_string() }));
    for connection in listener.incoming() {
        let connection = connection?;
        std::thread::spawn(move || {
            if let Err(error) = serve(connection) {
                eprintln!("collector: {error:#}");
            }
        });
    }
    Ok(())
}

/// Takes requests from a connection until the other side closes it.
fn serve(mut connection: TcpStream) -> Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    loop {
        let (mut length, mut path) = (0, String::new());
        for number in 0.. {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            if number == 0 {
                path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            } else if line.is_empty() {
                break;
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if path == "/v1/traces" {
            print(&ExportTraceServiceRequest::decode(&*body)?)?;
        }
        connection.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n",
        )?;
    }
}

fn print(request: &ExportTraceServiceRequest) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for resource in &request.resource_spans {
        let attributes = resource.resource.as_ref().map(|resource| attributes(&resource.attributes));
        let service = attributes.unwrap_or_default().remove("service.name").unwrap_or_default();
        for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            writeln!(out, "{}", shown(span, &service))?;
        }
    }
    Ok(out.flush()?)
}

fn shown(span: &Span, service: &Value) -> Value {
    let links: Vec<Value> = span.links.iter().map(|link| json!(hex(&link.span_id))).collect();
    let events: Vec<Value> = span
        .events
        .iter()
        .map(|event| json!({ "name": event.name, "attributes": attributes(&event.attributes) }))
        .collect();
    json!({
        "trace": hex(&span.trace_id),
        "id": hex(&span.span_id),
        "parent": hex(&span.parent_span_id),
        "service": service,
        "name": span.name,
        "kind": span.kind().as_str_name().trim_start_matches("SPAN_KIND_").to_lowercase(),
        "begin_ns": span.start_time_unix_nano,
        "end_ns": span.end_time_unix_nano,
        "attributes": attributes(&span.attributes),
        "links": links,
        "events": events,
        "error": span.status.as_ref().filter(|status| status.code == 2).map(|status| &status.message),
    })
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, Value> {
    all.iter().map(|one| (one.key.clone(), one.value.as_ref().map(value).unwrap_or_default())).collect()
}

fn value(any: &AnyValue) -> Value {
    match &any.value {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(truth)) => json!(truth),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) => json!(number),
        _ => Value::Null,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
