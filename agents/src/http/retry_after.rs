//! `Retry-After`, as RFC 9110 (10.2.3) has it.

use std::time::{Duration, SystemTime};

use http::header::{DATE, HeaderMap, RETRY_AFTER};

/// The pause that an answer asks for: seconds, or until a date. The date is of the service's clock, and so is the
/// answer's own; `now` serves where that is missing.
pub(super) fn pause(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(RETRY_AFTER)?;
    if !asked.is_empty() && asked.bytes().all(|digit| digit.is_ascii_digit()) {
        // More than fits is more than is ever granted.
        return Some(Duration::from_secs(asked.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(asked).ok()?;
    let now = text(DATE).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the example of the RFC.
    const NOW: Duration = Duration::from_secs(784_111_777);

    fn asked(value: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().expect("a header"));
        if let Some(date) = date {
            headers.insert(DATE, date.parse().expect("a header"));
        }
        pause(&headers, SystemTime::UNIX_EPOCH + NOW).map(|pause| pause.as_secs())
    }

    #[test]
    fn seconds() {
        assert_eq!(asked("0", None), Some(0));
        assert_eq!(asked(" 120 ", None), Some(120));
        assert_eq!(asked("99999999999999999999999", None), Some(u64::MAX));
    }

    #[test]
    fn dates_in_every_form() {
        assert_eq!(asked("Sun, 06 Nov 1994 08:50:37 GMT", None), Some(60));
        assert_eq!(asked("Sunday, 06-Nov-94 08:50:37 GMT", None), Some(60));
        assert_eq!(asked("Sun Nov  6 08:50:37 1994", None), Some(60));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:00 GMT", None), Some(0));
    }

    #[test]
    fn a_date_counts_from_the_clock_of_the_service() {
        let date = Some("Mon, 07 Nov 1994 08:49:37 GMT");
        assert_eq!(asked("Mon, 07 Nov 1994 08:49:40 GMT", date), Some(3));
        assert_eq!(asked("Sun, 06 Nov 1994 08:50:37 GMT", Some("yesterday")), Some(60));
    }

    #[test]
    fn anything_else_asks_for_nothing() {
        for wrong in ["", "soon", "-1", "1.5", "+3"] {
            assert_eq!(asked(wrong, None), None, "{wrong}");
        }
        assert_eq!(pause(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);
    }
}
