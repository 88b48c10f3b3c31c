//! Names that nobody knows.

use mesh_schemas::document::nearest;

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
        return anyhow::anyhow!("there is no {what} '{name}': {none}");
    }
    let meant = nearest(name, known.iter().copied());
    let meant = meant.map(|near| format!(": did you mean '{near}'?")).unwrap_or_default();
    let more = if known.len() > NAMED { " …" } else { "" };
    known.truncate(NAMED);
    anyhow::anyhow!("there is no {what} '{name}'{meant}\nThere are: {}{more}", known.join(", "))
}
