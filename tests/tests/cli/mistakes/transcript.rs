use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use mesh_schemas::RunId;
use mesh_tests::World;
use uuid::Uuid;

use crate::support::{Person, Said};

/// With this variable the files are written anew.
const REWRITE: &str = "MISTAKES_REWRITE";

/// What was typed and what was said, without what differs from one time to the next.
pub(super) struct Transcript {
    name: &'static str,
    text: String,
    hidden: Vec<(String, String)>,
}

impl Transcript {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, text: String::new(), hidden: Vec::new() }
    }

    /// One that does not tell which port and namespace a world has.
    pub(super) fn of(name: &'static str, world: &World) -> Self {
        let mut transcript = Self::new(name);
        transcript.hide_port(&world.url);
        transcript.hide(world.namespace.as_str(), "NAMESPACE");
        transcript
    }

    /// Has a name stand for something that differs each time.
    pub(super) fn hide(&mut self, what: &str, name: &str) {
        self.hidden.push((what.to_owned(), name.to_owned()));
    }

    /// Hides the port of an address.
    pub(super) fn hide_port(&mut self, url: &str) {
        let port = url.rsplit(':').next().unwrap_or_default();
        self.hide(&format!(":{port}"), ":PORT");
        self.hide(&format!("port {port}"), "port PORT");
        self.hide(&format!("--port {port}"), "--port PORT");
    }

    /// Makes a mistake.
    pub(super) async fn tries(&mut self, mistake: &str, person: &Person, arguments: &[&str]) -> Result<()> {
        let said = person.says(arguments).await.with_context(|| mistake.to_owned())?;
        self.add(mistake, None, person, arguments, &said)
    }

    /// Makes a mistake in a file.
    pub(super) async fn tries_file(
        &mut self,
        mistake: &str,
        person: &Person,
        (file, content): (&str, &str),
        arguments: &[&str],
    ) -> Result<()> {
        person.file(file, content)?;
        let said = person.says(arguments).await.with_context(|| mistake.to_owned())?;
        self.add(mistake, Some((file, content)), person, arguments, &said)
    }

    fn add(
        &mut self,
        mistake: &str,
        file: Option<(&str, &str)>,
        person: &Person,
        arguments: &[&str],
        said: &Said,
    ) -> Result<()> {
        ensure!(said.code != 0, "{mistake} was no mistake: {said:?}");
        writeln!(self.text, "## {mistake}")?;
        if let Some((name, content)) = file {
            writeln!(self.text, "{name}:")?;
            content.lines().try_for_each(|line| writeln!(self.text, "    {}", line.replace('\t', "→")))?;
        }
        let typed =
            self.normal(person, &arguments.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "));
        writeln!(self.text, "$ mesh {typed}\nexit code {}", said.code)?;
        for line in self.normal(person, &format!("{}{}", said.out, said.err)).lines() {
            writeln!(self.text, "{}", format!("> {line}").trim_end())?;
        }
        writeln!(self.text)?;
        Ok(())
    }

    fn normal(&self, person: &Person, text: &str) -> String {
        let mut text = text.replace(&*person.home().to_string_lossy(), "HOME");
        for (what, name) in &self.hidden {
            text = text.replace(what, name);
        }
        let is_of_id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        let mut normal = String::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let end = rest.find(|c| !is_of_id(c)).unwrap_or(rest.len());
            let word = rest[..end].trim_end_matches('.');
            normal.push_str(if word.parse::<RunId>().is_ok() {
                "RUN"
            } else if word.parse::<Uuid>().is_ok() {
                "UUID"
            } else {
                word
            });
            rest = &rest[word.len()..];
            // What parts it from the next word.
            let next = rest.char_indices().nth(1).map_or(rest.len(), |(at, _)| at);
            normal.push_str(&rest[..next]);
            rest = &rest[next..];
        }
        normal
    }

    /// Compares the transcript with the file that is kept.
    pub(super) fn holds(self) -> Result<()> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/cli/mistakes")
            .join(format!("{}.golden", self.name));
        if std::env::var_os(REWRITE).is_some() {
            return std::fs::write(&path, &self.text).with_context(|| format!("write {}", path.display()));
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let of_kept: Vec<&str> = kept.split("## ").collect();
        for (now, kept) in self.text.split("## ").zip(of_kept.iter().chain(std::iter::repeat(&"nothing"))) {
            ensure!(now == *kept, "it was said:\n{now}\nand {} has:\n{kept}\n{ADVICE}", path.display());
        }
        ensure!(self.text == kept, "{} has more than was said. {ADVICE}", path.display());
        Ok(())
    }
}

/// What to do when a message is not as it was.
const ADVICE: &str =
    "If the new one is better, run the tests with MISTAKES_REWRITE=1 and read the difference";

/// A word as it is typed to a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
