use std::path::PathBuf;

/// Why a program cannot be a handler. Found when the agent starts, before it takes any work.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The name has no `/` in it and is in no folder of `PATH`.
    #[error("there is no program '{0}' in the folders of PATH: install it, or give its path")]
    NotOnPath(String),
    /// There is no file at the path.
    #[error("there is no program at {path}: {error}", path = .path.display())]
    NotThere {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is a folder, or this user may not run it.
    #[error("{path} cannot be run: it must be a file that this user may execute (chmod +x)", path = .0.display())]
    NotExecutable(PathBuf),
    /// The folder to run it in is not there.
    #[error("the program cannot run in {path}: it is not a folder", path = .0.display())]
    NotAFolder(PathBuf),
    /// A variable that no environment can hold, or that is set for every task.
    #[error("the environment variable '{name}' cannot be set: {reason}")]
    Variable {
        /// The variable.
        name: String,
        /// Why not.
        reason: &'static str,
    },
}
