use super::Language;

/// A file of a new agent. `{{capability}}` and `{{checkout}}` stand for what they say.
pub(super) struct Template {
    pub(super) path: &'static str,
    pub(super) text: &'static str,
    pub(super) executable: bool,
}

const fn file(path: &'static str, text: &'static str) -> Template {
    Template { path, text, executable: false }
}

const fn program(path: &'static str, text: &'static str) -> Template {
    Template { path, text, executable: true }
}

const RUST: [Template; 3] = [
    file("Cargo.toml", include_str!("rust/Cargo.toml.template")),
    file("src/main.rs", include_str!("rust/main.rs.template")),
    file("README.md", include_str!("rust/README.md")),
];
const PYTHON: [Template; 2] = [
    program("agent.py", include_str!("python/agent.py")),
    file("README.md", include_str!("python/README.md")),
];
const SHELL: [Template; 2] =
    [program("agent.sh", include_str!("shell/agent.sh")), file("README.md", include_str!("shell/README.md"))];
/// What every new agent comes with.
const COMMON: [Template; 2] =
    [file("workflow.yaml", include_str!("workflow.yaml")), file("input.json", include_str!("input.json"))];

/// The files of a new agent.
pub(super) fn of(language: Language) -> impl Iterator<Item = &'static Template> {
    let own: &'static [Template] = match language {
        Language::Rust => &RUST,
        Language::Python => &PYTHON,
        Language::Shell => &SHELL,
    };
    own.iter().chain(&COMMON)
}
