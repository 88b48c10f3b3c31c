//! Data on stdout: a table for people, JSON or YAML for programs.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;

/// How data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    #[default]
    Table,
    /// JSON, a document or one object a line
    Json,
    /// YAML
    Yaml,
}

/// How a command prints its data.
#[derive(Args, Debug, Clone, Copy)]
pub(crate) struct Output {
    /// How to print data
    #[arg(long = "output", short = 'o', env = "MESH_OUTPUT", hide_env = true, value_enum, default_value_t)]
    pub(crate) format: Format,
}

impl Output {
    /// Prints one document, for people as `table` says.
    pub(crate) fn document(
        self,
        value: &impl Serialize,
        table: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Table => table(),
            Format::Json => Ok(json(value)?),
            Format::Yaml => Ok(text(&mesh_schemas::document::to_yaml(value))?),
        }
    }

    /// Prints one of many objects that come one after another.
    pub(crate) fn item(
        self,
        value: &impl Serialize,
        line: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if self.format == Format::Table { line() } else { Ok(text(&self.rendered(value, String::new)?)?) }
    }

    /// One of many objects as it is printed, with the end of its last line.
    pub(crate) fn rendered(
        self,
        value: &impl Serialize,
        line: impl FnOnce() -> String,
    ) -> anyhow::Result<String> {
        Ok(match self.format {
            Format::Table => format!("{}\n", line()),
            Format::Json => format!("{}\n", serde_json::to_string(value)?),
            Format::Yaml => format!("---\n{}", mesh_schemas::document::to_yaml(value)),
        })
    }
}

/// Prints one JSON document.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// Prints one line. A reader that has gone away is no error.
pub(crate) fn line(line: &str) -> io::Result<()> {
    text(&format!("{line}\n"))
}

/// Prints text that ends its own lines. A reader that has gone away is no error.
pub(crate) fn text(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result,
    }
}

/// Prints rows under a heading.
pub(crate) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> anyhow::Result<()> {
    Ok(text(&columns(heading, rows))?)
}

/// Rows under a heading, each column as wide as its widest cell.
pub(crate) fn columns<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    laid_out(&heading, rows)
}

/// Rows under a heading that both have as many cells as the other.
pub(crate) fn laid_out(heading: &[&str], rows: &[impl AsRef<[String]>]) -> String {
    let width = |(column, title): (usize, &&str)| {
        let cells = rows.iter().filter_map(|row| row.as_ref().get(column));
        cells.map(|cell| cell.chars().count()).chain([title.len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = heading.iter().enumerate().map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let heading = line(&mut heading.iter().copied());
    let rows = rows.iter().map(|row| line(&mut row.as_ref().iter().map(String::as_str)));
    std::iter::once(heading).chain(rows).collect()
}
