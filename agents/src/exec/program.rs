//! Finds programs, as a shell would.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::ExecError;

/// The file to run: what is named with a `/` counts from the folder that the program runs in, anything else is looked
/// for in `path`. Found out here and not by the system, whose answers differ from one platform to the next.
pub(super) fn find(program: &OsStr, path: &OsStr, folder: Option<&Path>) -> Result<PathBuf, ExecError> {
    if program.as_bytes().contains(&b'/') {
        let path = folder.map_or_else(|| PathBuf::from(program), |folder| folder.join(program));
        let path = std::path::absolute(&path).unwrap_or(path);
        return match path.metadata() {
            Err(error) => Err(ExecError::NotThere { path, error }),
            Ok(_) if is_executable(&path) => Ok(path),
            Ok(_) => Err(ExecError::NotExecutable(path)),
        };
    }
    // An empty entry stands for the working folder, which is a surprise more often than a wish.
    let folders = std::env::split_paths(path).filter(|folder| !folder.as_os_str().is_empty());
    let mut candidates = folders.map(|folder| folder.join(program));
    let found = candidates.find(|candidate| !program.is_empty() && is_executable(candidate));
    let found = found.map(|path| std::path::absolute(&path).unwrap_or(path));
    found.ok_or_else(|| ExecError::NotOnPath(program.to_string_lossy().into_owned()))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(program: &str) -> Result<PathBuf, ExecError> {
        find(OsStr::new(program), OsStr::new("/no/such/folder:/bin"), None)
    }

    #[test]
    fn programs_are_found_by_name_and_by_path() {
        assert_eq!(look("sh").expect("a shell"), Path::new("/bin/sh"));
        assert_eq!(look("/bin/sh").expect("a shell"), Path::new("/bin/sh"));
        let relative = find(OsStr::new("./sh"), OsStr::new(""), Some(Path::new("/bin")));
        assert!(relative.expect("a shell").is_file());
    }

    #[test]
    fn what_is_no_program_is_said() {
        assert!(matches!(look("no-such-program"), Err(ExecError::NotOnPath(_))));
        assert!(matches!(look(""), Err(ExecError::NotOnPath(_))));
        assert!(matches!(look("/no/such/program"), Err(ExecError::NotThere { .. })));
        assert!(matches!(look("/bin/"), Err(ExecError::NotExecutable(_))));
        assert!(matches!(look("/etc/passwd"), Err(ExecError::NotExecutable(_))));
    }
}
