//! The example that uses everything is a sound workflow.

use mesh_core::check;
use mesh_schemas::document::Format;

#[test]
fn it_is_sound() {
    let text = include_str!("../../../schemas/examples/everything.yaml");
    let checked = check(text, Format::Yaml, |_| Vec::new());
    checked.unwrap_or_else(|problems| panic!("{problems}"));
}
