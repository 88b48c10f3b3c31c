//! What the cargo that runs the tests leaves in their environment.

use std::ffi::OsString;

/// Variables that tell a test which package it belongs to. Build scripts look at them: a cargo that a test starts must not
/// inherit them, or it takes what was built for changed and builds it anew, as the next cargo then does.
#[must_use]
pub fn cargo_variables() -> Vec<OsString> {
    let is_cargos = |name: &OsString| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    };
    std::env::vars_os().map(|(name, _)| name).filter(is_cargos).collect()
}
