//! The public contract as files: JSON Schemas, the AsyncAPI document and the table of subjects, all made from
//! [`catalogue::EVENTS`] and from the types.

mod asyncapi;
pub mod catalogue;
mod errors;
mod json_schema;
mod node;
mod table;

pub use table::subject_table;

use node::Node;

/// A file that is generated: its path relative to the folder `schemas/`, with `/` between its parts, and its text.
pub type File = (String, String);

/// Every generated file, sorted by path. The texts depend on the types only and end in a newline.
#[must_use]
pub fn files() -> Vec<File> {
    let mut files: Vec<File> = json_schema::schemas()
        .into_iter()
        .map(|(name, schema)| (format!("json/{name}.json"), schema.to_json()))
        .collect();
    files.push(("asyncapi.yaml".to_owned(), asyncapi::document().to_yaml()));
    files.push(("errors.md".to_owned(), errors::document()));
    files.sort();
    files
}

#[cfg(test)]
mod tests;
