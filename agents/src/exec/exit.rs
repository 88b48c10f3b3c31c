//! What an exit status means.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use crate::failure::TaskFailure;

/// `EX_DATAERR` of `sysexits.h`: the input was wrong in some way.
const DATA_ERROR: i32 = 65;

/// The failure that a status tells of, with the end of what the program said on stderr; none for success.
pub(super) fn failure(status: ExitStatus, stderr: String) -> Option<TaskFailure> {
    if status.success() {
        return None;
    }
    let (code, how) = match (status.code(), status.signal()) {
        (Some(code), _) => (format!("exit_{code}"), format!("the program ended with exit code {code}")),
        (None, Some(signal)) => (format!("signal_{signal}"), format!("signal {signal} ended the program")),
        (None, None) => ("exit_unknown".to_owned(), format!("the program ended: {status}")),
    };
    let message = if stderr.is_empty() { format!("{how}, with nothing on stderr") } else { stderr };
    Some(match status.code() {
        Some(DATA_ERROR) => TaskFailure::fatal(code, message),
        _ => TaskFailure::retryable(code, message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(raw: i32) -> Option<(String, bool)> {
        failure(ExitStatus::from_raw(raw), "why".to_owned()).map(|failure| {
            assert_eq!(failure.message(), "why");
            (failure.code().to_owned(), failure.is_retryable())
        })
    }

    #[test]
    fn exit_codes_and_signals_are_told_apart() {
        // As `wait` gives it: the exit code above, the signal in the lowest seven bits.
        let exit = |code: i32| of(code << 8);
        assert_eq!(exit(0), None);
        assert_eq!(exit(1), Some(("exit_1".to_owned(), true)));
        assert_eq!(exit(65), Some(("exit_65".to_owned(), false)));
        assert_eq!(exit(75), Some(("exit_75".to_owned(), true)));
        assert_eq!(exit(255), Some(("exit_255".to_owned(), true)));
        assert_eq!(of(9), Some(("signal_9".to_owned(), true)));
        assert_eq!(of(65), Some(("signal_65".to_owned(), true)));
        // With a core dump.
        assert_eq!(of(11 | 0x80), Some(("signal_11".to_owned(), true)));
    }

    #[test]
    fn a_silent_failure_says_how_it_ended() {
        let failure = failure(ExitStatus::from_raw(3 << 8), String::new()).expect("a failure");
        assert_eq!(failure.message(), "the program ended with exit code 3, with nothing on stderr");
    }
}
