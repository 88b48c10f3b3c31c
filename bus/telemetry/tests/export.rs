//! The exporter against real sockets. [`mesh_telemetry::init`] works on the whole process, so each test runs
//! this same program again, with its own environment, for the one ignored test that emits a span.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mesh_telemetry::{SHUTDOWN_TIMEOUT, metrics, names, propagation};

/// How much longer than [`SHUTDOWN_TIMEOUT`] a shutdown may seem to take on a busy machine.
const SLACK: Duration = Duration::from_secs(2);

#[test]
#[ignore = "emits a span from a process of its own: the other tests start it"]
fn emitter() {
    let telemetry = mesh_telemetry::init("emitter");
    let span = tracing::debug_span!(
        "literal",
        { names::SPAN_NAME } = "process some.subject",
        { names::ATTEMPT } = 7
    );
    println!("traced: {}", propagation::current(&span).is_some());
    drop(span);
    if std::env::var_os("EMIT_METRICS").is_some() {
        metrics::table::RUNS_STARTED.add(7, ["exported"]);
        metrics::table::RUN_DURATION.record(Duration::from_secs(2), ["exported", "completed"]);
    }
    println!("measured: {}", metrics::is_collected());
    let begun = Instant::now();
    telemetry.shutdown();
    assert!(begun.elapsed() < SHUTDOWN_TIMEOUT + SLACK, "shutdown took {:?}", begun.elapsed());
}

#[test]
fn a_span_reaches_the_collector() {
    let (listener, endpoint) = collector();
    let emitter = start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    let (head, body) = answer(&listener);
    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
    assert!(head.to_lowercase().contains("content-type: application/x-protobuf"), "{head}");
    for text in ["process some.subject", "service.name", "emitter", "mesh.attempt"] {
        assert!(contains(&body, text), "{text:?} is not in the body");
    }
    assert!(finish(emitter).contains("traced: true"));
}

#[test]
fn the_environment_names_the_service() {
    let (listener, endpoint) = collector();
    let endpoint = format!("{endpoint}/custom");
    let emitter = start(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint),
        ("OTEL_SERVICE_NAME", "chosen-by-operator"),
    ]);
    let (head, body) = answer(&listener);
    assert!(head.starts_with("POST /custom HTTP/1.1"), "{head}");
    assert!(contains(&body, "chosen-by-operator") && !contains(&body, "emitter"));
    finish(emitter);
}

#[test]
fn without_an_endpoint_nothing_is_traced() {
    let emitter = start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]);
    assert!(finish(emitter).contains("traced: false"));
}

#[test]
fn a_collector_that_never_answers_does_not_delay_the_end() {
    // The system completes the connection, but nobody ever accepts it: worse than a closed port.
    let (_listener, endpoint) = collector();
    finish(start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("EMIT_METRICS", "1")]));
}

#[test]
fn a_collector_that_is_down_is_reported() {
    let (listener, endpoint) = collector();
    drop(listener);
    let output = finish(start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]));
    assert!(output.contains("the collector does not take spans"), "{output}");
}

#[test]
fn an_endpoint_that_is_no_address_is_reported() {
    let output = finish(start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "not an address")]));
    assert!(output.contains("spans are not exported"), "{output}");
    assert!(output.contains("traced: false"), "{output}");
}

#[test]
fn a_setting_that_is_not_understood_is_reported() {
    let output = finish(start(&[
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_METRICS_EXPORTER", "prometheus"),
        ("MESH_LOG_FORMAT", "xml"),
    ]));
    assert!(output.contains("OTEL_TRACES_EXPORTER is \"console\", which is not known here"), "{output}");
    assert!(output.contains("OTEL_METRICS_EXPORTER is \"prometheus\", which is not known here"), "{output}");
    assert!(output.contains("MESH_LOG_FORMAT is \"xml\": use text or json"), "{output}");
    assert!(output.contains("traced: false") && output.contains("measured: false"), "{output}");
    let output = finish(start(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]));
    assert!(!output.contains("OTEL_EXPORTER_OTLP_PROTOCOL"), "nothing is sent: {output}");
    let (listener, endpoint) = collector();
    drop(listener);
    let output = finish(start(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ]));
    assert!(output.contains("OTEL_EXPORTER_OTLP_PROTOCOL is \"grpc\""), "{output}");
}

#[test]
fn metrics_reach_the_collector() {
    let (listener, endpoint) = collector();
    let endpoint = format!("{endpoint}/custom");
    let emitter = start(&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &endpoint), ("EMIT_METRICS", "1")]);
    let (head, body) = answer(&listener);
    assert!(head.starts_with("POST /custom HTTP/1.1"), "{head}");
    assert!(head.to_lowercase().contains("content-type: application/x-protobuf"), "{head}");
    for text in ["mesh.runs.started", "mesh.run.duration", "{run}", "workflow", "exported", "emitter"] {
        assert!(contains(&body, text), "{text:?} is not in the body");
    }
    let output = finish(emitter);
    assert!(output.contains("measured: true") && output.contains("traced: false"), "{output}");
}

#[test]
fn spans_and_metrics_go_to_one_collector() {
    let (listener, endpoint) = collector();
    let emitter = start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("EMIT_METRICS", "1")]);
    let mut heads = [answer(&listener).0, answer(&listener).0];
    heads.sort();
    assert!(heads[0].starts_with("POST /v1/metrics "), "{heads:?}");
    assert!(heads[1].starts_with("POST /v1/traces "), "{heads:?}");
    finish(emitter);
}

#[test]
fn metrics_may_be_left_out() {
    let (listener, endpoint) = collector();
    let left_out = ("OTEL_METRICS_EXPORTER", "none");
    let emitter = start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), left_out, ("EMIT_METRICS", "1")]);
    assert!(answer(&listener).0.starts_with("POST /v1/traces "));
    assert!(finish(emitter).contains("measured: false"));
}

#[test]
fn a_collector_of_metrics_that_is_down_is_reported() {
    let (listener, endpoint) = collector();
    drop(listener);
    let output = finish(start(&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &endpoint), ("EMIT_METRICS", "1")]));
    assert_eq!(output.matches("the collector does not take metrics").count(), 1, "{output}");
}

fn collector() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("the port"));
    (listener, endpoint)
}

fn start(environment: &[(&str, &str)]) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_") || name.ends_with("_LOG"))
    {
        command.env_remove(name);
    }
    command
        .args(["--exact", "emitter", "--ignored", "--nocapture"])
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this program starts")
}

/// Waits for the emitter and gives all that it wrote.
fn finish(emitter: Child) -> String {
    let output = emitter.wait_with_output().expect("the emitter ends");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    text
}

/// Takes one HTTP request, answers it, and gives its head and body.
fn answer(listener: &TcpListener) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().expect("a connection");
    let request = read_request(&stream);
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("the answer is sent");
    request
}

fn read_request(stream: &TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).expect("a request"), 0, "the request ends early: {head}");
    }
    let length = head
        .lines()
        .find_map(|line| {
            line.to_lowercase().strip_prefix("content-length:").map(|value| value.trim().parse())
        })
        .expect("a content length")
        .expect("a number");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the whole body");
    (head, body)
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}
