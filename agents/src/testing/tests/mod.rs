mod assertions;
mod faults;
mod misuse;
mod readme;
mod secrets;
mod single;
mod time;
mod workflows;

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

/// What a closure that must panic says.
fn panics<T>(does: impl FnOnce() -> T) -> String {
    let caught = std::panic::catch_unwind(AssertUnwindSafe(does));
    said(caught.err().expect("it panics"))
}

/// What a future that must panic says.
async fn panics_later<T>(future: impl Future<Output = T>) -> String {
    let caught = AssertUnwindSafe(future).catch_unwind().await;
    said(caught.err().expect("it panics"))
}

fn said(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other.downcast_ref::<&str>().map(|text| (*text).to_owned()).unwrap_or_default(),
    }
}

#[test]
fn the_readme_shows_what_is_tested() {
    let shown = include_str!("readme.rs").replace("crate::", "mesh_agents::");
    assert!(include_str!("../../../README.md").contains(&format!("```rust\n{shown}```")), "{shown}");
}
