use super::TraceContext;
use crate::Headers;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_context_survives_headers() {
    let context = TraceContext::new(PARENT, Some("vendor=1,other=2")).expect("well-formed");
    let mut headers = Headers::new();
    context.write(&mut headers);
    assert_eq!(headers.get("traceparent"), Some(PARENT));
    assert_eq!(TraceContext::from_headers(&headers), Some(context));
}

#[test]
fn what_is_not_well_formed_is_no_context() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let bad = [
        String::new(),
        "00".to_owned(),
        format!("00-{trace}-00f067aa0ba902b7"),
        format!("00-{trace}-00f067aa0ba902b7-01-extra"),
        format!("00-{trace}-00f067aa0ba902b7-1"),
        format!("ff-{trace}-00f067aa0ba902b7-01"),
        format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
        format!("00-{trace}-0000000000000000-01"),
        format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
        format!("00-{trace}-00f067aa0ba902bg-01"),
        format!("01-{trace}-00f067aa0ba902b7-01-a\r\nb: c"),
        format!(" {PARENT}"),
    ];
    for text in bad {
        assert_eq!(TraceContext::new(&text, None), None, "{text:?}");
    }
}

#[test]
fn later_versions_may_say_more() {
    let later = PARENT.replacen("00", "01", 1) + "-more-and-more";
    assert_eq!(TraceContext::new(&later, None).map(|context| context.traceparent), Some(later));
}

#[test]
fn a_state_that_no_header_can_carry_is_dropped_alone() {
    for state in ["", "a=1\r\nb: c", "a=ä"] {
        let context = TraceContext::new(PARENT, Some(state)).expect("the parent is well-formed");
        assert_eq!(context.tracestate, None, "{state:?}");
    }
}
