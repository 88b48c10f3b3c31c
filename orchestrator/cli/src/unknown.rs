//! Names that nobody knows.

use mesh_schemas::ErrorCode;
use mesh_schemas::document::nearest;

use crate::failure::Failure;

/// How many of those there are an error names.
const NAMED: usize = 20;

/// What to say about a name that is not known: the one that may have been meant, and those there are.
pub(crate) fn unknown<'a>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
    none: &str,
) -> anyhow::Error {
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    if known.is_empty() {
        return failure(format!("there is no {what} '{name}': {none}"));
    }
    let meant = nearest(name, known.iter().copied());
    let meant = meant.map(|near| format!(": did you mean '{near}'?")).unwrap_or_default();
    let more = if known.len() > NAMED { " …" } else { "" };
    known.truncate(NAMED);
    failure(format!("there is no {what} '{name}'{meant}\nThere are: {}{more}", known.join(", ")))
}

fn failure(message: String) -> anyhow::Error {
    Failure::new(ErrorCode::UnknownObject, message).into()
}
