//! What an HTTP service is asked, and what is made of its answers.

use std::time::Duration;

use anyhow::{Result, ensure};
use mesh_agents::{Agent, Http};
use mesh_bus::RunOutcome;
use serde_json::{Value, json};

use crate::service::{Service, answer};
use crate::support::{Mesh, TRACEPARENT, mesh};
use crate::tls::Authority;

async fn asking(service: &Service) -> Result<Mesh> {
    let http = Http::new(service.url()).header("authorization", "Bearer hunter2");
    mesh().await?.with(Agent::builder("asker").id("asker-1").http("ask", http)).await
}

#[tokio::test]
async fn a_request_tells_of_the_task() -> Result<()> {
    let mut service = Service::start().await?;
    let mesh = asking(&service).await?;
    let ok = answer("200 OK", &["content-type: application/json"], r#"{"a": 1}"#);
    for (more, action) in [("action: score, timeout: 1h,", Some("score")), ("timeout: 1h,", None)] {
        let run = mesh.start("ask", more, json!([ok])).await?;
        let outcome = mesh.world.ended(run).await?;
        ensure!(
            matches!(&outcome, RunOutcome::Completed(done) if done.output == json!({"a": 1})),
            "not completed: {outcome:?}"
        );
        let mut request = service.asked().await?;
        assert_eq!(request.line, "POST /work?key=hunter2 HTTP/1.1");
        assert_eq!(request.body, json!([ok]));
        let deadline = request.headers.remove("mesh-deadline").unwrap_or_default();
        assert!(deadline.parse::<chrono::DateTime<chrono::Utc>>().is_ok(), "{deadline}");
        for (name, value) in [
            ("host", format!("127.0.0.1:{}", service.port)),
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json".to_owned()),
            ("authorization", "Bearer hunter2".to_owned()),
            ("mesh-run-id", run.to_string()),
            ("mesh-workflow", "ask".to_owned()),
            ("mesh-task", "work".to_owned()),
            ("mesh-attempt", "1".to_owned()),
            ("mesh-delivery", "1".to_owned()),
            ("mesh-agent", "asker-1".to_owned()),
            ("mesh-capability", "ask".to_owned()),
            ("mesh-correlation-id", "an%20order%20%C3%A4".to_owned()),
            ("idempotency-key", format!("{run}.work")),
            ("traceparent", TRACEPARENT.to_owned()),
            ("tracestate", "vendor=value".to_owned()),
        ] {
            assert_eq!(request.headers.get(name), Some(&value), "{name}");
        }
        assert_eq!(request.headers.get("mesh-action").map(String::as_str), action);
    }
    mesh.stop().await
}

#[tokio::test]
async fn answers_are_outcomes() -> Result<()> {
    let service = Service::start().await?;
    let mesh = asking(&service).await?;
    // More than a message carries, on the way there and on the way back.
    let large = json!("x".repeat(5_000_000));
    let output = mesh.output("ask", json!([answer("200 OK", &[], &large.to_string())])).await?;
    assert!(output == large, "another output");
    for (text, output) in [
        (answer("200 OK", &[], " [1, 2]\n"), json!([1, 2])),
        (answer("200 OK", &[], ""), Value::Null),
        (answer("201 Created", &["location: /elsewhere"], "3"), json!(3)),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), Value::Null),
    ] {
        assert_eq!(mesh.output("ask", json!([text])).await?, output, "{text}");
    }
    let dated = ["retry-after: Sun, 06 Nov 1994 08:50:37 GMT", "date: Sun, 06 Nov 1994 08:49:37 GMT"];
    let cases = [
        (answer("400 Bad Request", &[], "no such account\n"), "http_400", false, None, "no such account"),
        (answer("404 Not Found", &["retry-after: 3"], ""), "http_404", false, None, "answered 404 Not Found"),
        (answer("408 Request Timeout", &[], ""), "http_408", true, None, "408"),
        (answer("425 Too Early", &[], ""), "http_425", true, None, "425"),
        (answer("429 Too Many Requests", &["Retry-After: 7"], "wait"), "http_429", true, Some(7.0), "wait"),
        (answer("500 Internal Server Error", &[], "oh no"), "http_500", true, None, "oh no"),
        (answer("503 Service Unavailable", &dated, ""), "http_503", true, Some(60.0), "503"),
        (answer("503 Service Unavailable", &["retry-after: soon"], ""), "http_503", true, None, "503"),
        (answer("302 Found", &["location: /elsewhere"], "moved"), "http_302", false, None, "/elsewhere"),
        (answer("304 Not Modified", &[], ""), "http_304", false, None, "304"),
        (answer("500 Oops", &[], &"y".repeat(100_000)), "http_500", true, None, "yyy"),
        (answer("200 OK", &[], "<html>welcome"), "invalid_output", false, None, "<html>welcome"),
        ("NOT HTTP AT ALL\r\n\r\n".to_owned(), "http_broken", true, None, "did not answer"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\n[1,".to_owned(),
            "http_broken",
            true,
            None,
            "did not answer in full",
        ),
    ];
    for (text, code, retryable, retry_after, message) in cases {
        // Only the beginning, which tells the cases apart: the last ones are long.
        let shown = text.chars().take(40).collect::<String>();
        let error = mesh.failure("ask", json!([text])).await?;
        assert_eq!((error.code.as_str(), error.retryable), (code, retryable), "{shown}: {error:?}");
        assert_eq!(error.retry_after, retry_after, "{shown}");
        assert!(error.message.contains(message), "{shown}: {error:?}");
        assert!(error.message.len() <= 1100 && !error.message.contains("hunter2"), "{shown}: {error:?}");
    }
    mesh.stop().await
}

#[tokio::test]
async fn a_body_may_be_as_large_as_is_said() -> Result<()> {
    let service = Service::start().await?;
    let http = Http::new(service.url()).output_limit(4);
    let mesh = mesh().await?.with(Agent::builder("asker").http("ask", http)).await?;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n123\r\n2\r\n45\r\n0\r\n\r\n";
    for text in [answer("200 OK", &[], "12345"), chunked.to_owned()] {
        let error = mesh.failure("ask", json!([text])).await?;
        assert_eq!((error.code.as_str(), error.retryable), ("output_too_large", false));
        assert!(error.message.contains("larger than 4 bytes"), "{}", error.message);
    }
    assert_eq!(mesh.output("ask", json!([answer("200 OK", &[], "1234")])).await?, json!(1234));
    mesh.stop().await
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_its_end() -> Result<()> {
    let mut service = Service::start().await?;
    let http = Http::new(service.url()).output_limit(1_000_000);
    let mesh = mesh().await?.with(Agent::builder("asker").http("ask", http)).await?;
    assert_eq!(mesh.failure("ask", json!("endless")).await?.code, "output_too_large");
    service.asked().await?;
    service.hung_up().await?;
    mesh.stop().await
}

#[tokio::test]
async fn a_service_that_is_not_there_may_come_back() -> Result<()> {
    let authority = Authority::new()?;
    let service = Service::start().await?;
    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let agent = Agent::builder("asker")
        .http("ask_nobody", Http::new(format!("http://{nobody}/?key=hunter2")))
        .http("ask_in_tls", Http::new(service.url().replace("http:", "https:")).ca(authority.file()));
    let mesh = mesh().await?.with(agent).await?;
    for (capability, at) in [("ask_nobody", nobody.port()), ("ask_in_tls", service.port)] {
        let error = mesh.failure(capability, json!([])).await?;
        assert_eq!((error.code.as_str(), error.retryable), ("http_unreachable", true), "{error:?}");
        let at = format!("at 127.0.0.1:{at} cannot be reached");
        assert!(error.message.contains(&at) && !error.message.contains("hunter2"), "{error:?}");
    }
    mesh.stop().await
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_timeout() -> Result<()> {
    let mut service = Service::start().await?;
    let mesh = asking(&service).await?;
    let run = mesh.start("ask", "timeout: 500ms,", json!("hang")).await?;
    service.asked().await?;
    service.hung_up().await?;
    mesh.world.ended(run).await?;
    let error = mesh.error(run).await?;
    assert_eq!((error.code.as_str(), error.retryable), ("timeout", true));
    mesh.stop().await
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_is_dropped() -> Result<()> {
    let mut service = Service::start().await?;
    let hasty = Agent::builder("asker").drain_timeout(Duration::ZERO);
    let mut mesh = mesh().await?.with(hasty.http("ask", Http::new(service.url()))).await?;
    let cancelled = mesh.start("ask", "", json!("hang")).await?;
    service.asked().await?;
    mesh.cancel(cancelled).await?;
    // A handler that does not heed the cancel is dropped after 5 seconds.
    tokio::time::timeout(Duration::from_secs(4), service.hung_up()).await??;
    let outcome = mesh.world.ended(cancelled).await?;
    ensure!(matches!(outcome, RunOutcome::Cancelled(_)), "not cancelled: {outcome:?}");
    mesh.start("ask", "timeout: 1h,", json!("hang")).await?;
    service.asked().await?;
    mesh.stop_agent().await?;
    service.hung_up().await?;
    mesh.stop().await
}

/// Also after an answer that tells of a failure.
#[tokio::test]
async fn connections_are_used_again() -> Result<()> {
    let service = Service::start().await?;
    let mesh = asking(&service).await?;
    for n in 0..5 {
        let ok = answer("200 OK", &[], &n.to_string());
        assert_eq!(mesh.output("ask", json!([ok])).await?, json!(n));
        let unavailable = answer("503 Service Unavailable", &[], &"later ".repeat(2_000 + n));
        mesh.failure("ask", json!([unavailable])).await?;
    }
    assert_eq!(service.accepted(), 1);
    mesh.stop().await
}

#[tokio::test]
async fn retry_after_is_waited_for() -> Result<()> {
    let mut service = Service::start().await?;
    let mesh = asking(&service).await?;
    mesh.world
        .apply(
            "
mesh: v1
name: again
output: '${tasks.work.output}'
tasks: {work: {agent: ask, with: '${input}', retry: {max_attempts: 2, initial: 0s, jitter: 0}}}
",
        )
        .await?;
    let busy = answer("429 Too Many Requests", &["retry-after: 2"], "");
    let ok = answer("200 OK", &[], "\"at last\"");
    let run = mesh.world.start("again", json!([busy, ok])).await?;
    let first = service.asked().await?;
    let begun = tokio::time::Instant::now();
    let second = service.asked().await?;
    assert!(begun.elapsed() >= Duration::from_millis(1900), "asked again after {:?}", begun.elapsed());
    assert_eq!(first.headers.get("idempotency-key"), second.headers.get("idempotency-key"));
    assert_eq!(second.headers.get("mesh-attempt").map(String::as_str), Some("2"));
    let outcome = mesh.world.ended(run).await?;
    ensure!(
        matches!(&outcome, RunOutcome::Completed(done) if done.output == json!("at last")),
        "not completed: {outcome:?}"
    );
    mesh.stop().await
}

#[tokio::test]
async fn a_service_that_cannot_be_asked_is_no_agent() -> Result<()> {
    let mesh = mesh().await?;
    let url = "http://127.0.0.1:1";
    for (http, message) in [
        (Http::new("127.0.0.1:1"), "it must begin with http:// or https://"),
        (Http::new("http://user:hunter2@127.0.0.1:1"), "send them in the header 'authorization'"),
        (Http::new(url).header("a b", "c"), "the header 'a b' cannot be set"),
        (Http::new(url).header("Idempotency-Key", "1"), "it is set for every task"),
        (Http::new(url).ca("/no/such/file"), "/no/such/file does not hold the certificates"),
    ] {
        let agent = mesh.world.agent(Agent::builder("asker").http("ask", http)).await?;
        let error = agent.stop().await.expect_err(message);
        assert!(format!("{error:#}").contains(message), "{error:#}");
    }
    assert!(mesh.world.registered().await?.is_empty());
    mesh.stop().await
}
