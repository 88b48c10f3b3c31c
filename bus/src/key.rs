use crate::error::BusError;

/// Whether a text can be a key of a bucket: one with wildcards, spaces or empty tokens cannot.
pub(crate) fn check(key: &str, operation: &str) -> Result<(), BusError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-/_=".contains(&b);
    if key.split('.').all(|token| !token.is_empty() && token.bytes().all(allowed)) {
        return Ok(());
    }
    let error = "a key is made of letters, digits and -/_=, with single dots between".to_owned();
    Err(BusError::Refused { operation: operation.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_checked() {
        for key in ["a", "merchant-onboarding.0f3e", "a/b=c_d"] {
            assert!(check(key, "get").is_ok(), "{key:?}");
        }
        for key in ["", ".", "a.", "a..b", "a b", "*", "a.>", "ä"] {
            assert!(check(key, "get").is_err(), "{key:?}");
        }
    }
}
