//! The file that a picture is written to.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use mesh_schemas::ErrorCode;

use super::super::report::Report;
use super::page;
use crate::failure::Failure;

/// Looks whether the file can be written, before minutes are spent on what it is to show. What is in it stays.
pub(in super::super) fn check(file: &Path) -> anyhow::Result<()> {
    if file.as_os_str() == "-" {
        let message = "the figures go to stdout, and a picture cannot go there, too: name a file for it, such as \
                       --plot bench.svg";
        return Err(Failure::new(ErrorCode::Combination, message).into());
    }
    let refuse = |message: String| Err(Failure::new(ErrorCode::Unwritable, message).into());
    if file.is_dir() {
        let inside = file.join("bench.svg");
        return refuse(format!(
            "cannot write the plot to {}, which is a folder: name a file in it, such as {}",
            file.display(),
            inside.display()
        ));
    }
    let folder = folder(file);
    if !folder.is_dir() {
        return refuse(format!(
            "cannot write the plot to {}: there is no folder {}, make it or name another file",
            file.display(),
            folder.display()
        ));
    }
    // Whether something may be written there, only writing tells.
    let probe = part(file);
    let writable = OpenOptions::new().append(true).create(true).open(&probe).and_then(|opened| {
        drop(opened);
        if probe == file { Ok(()) } else { std::fs::remove_file(&probe) }
    });
    writable.with_context(|| unwritable(file))
}

/// Writes the picture of a report. Who reads the file meanwhile sees what it was or what it is, never a part.
pub(in super::super) fn write(report: &Report, file: &Path) -> anyhow::Result<()> {
    let part = part(file);
    let mut written = std::fs::write(&part, page::document(report));
    if part != file {
        written = written.and_then(|()| std::fs::rename(&part, file));
        if written.is_err() {
            // Why it cannot be written is what is told.
            let _ = std::fs::remove_file(&part);
        }
    }
    written.with_context(|| unwritable(file))?;
    eprintln!("wrote the plot to {}", file.display());
    Ok(())
}

/// Where it is written before it takes the place of the file: beside it. What is no file of its own, such as a device or a link,
/// is not replaced, but written to.
fn part(file: &Path) -> PathBuf {
    match (file.symlink_metadata(), file.file_name()) {
        (Ok(there), _) if !there.is_file() => file.to_owned(),
        (_, None) => file.to_owned(),
        (_, Some(name)) => {
            let mut hidden = std::ffi::OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".{}.part", std::process::id()));
            file.with_file_name(hidden)
        }
    }
}

fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn unwritable(file: &Path) -> Failure {
    let message =
        format!("cannot write the plot to {}: name a file where this user may write", file.display());
    Failure::new(ErrorCode::Unwritable, message)
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;
    use crate::failure::code_of;
    use crate::scratch::Folder;

    #[test]
    fn what_cannot_be_written_is_said_before() {
        let folder = Folder::new("plot-test").expect("a folder");
        let refused = |file: &Path| {
            let error = check(file).expect_err("refused");
            (code_of(&error), error.to_string())
        };
        assert_eq!(refused(Path::new("-")).0, ErrorCode::Combination);
        for file in [folder.path().to_owned(), folder.path().join("nowhere/plot.svg")] {
            let (code, message) = refused(&file);
            assert!(
                code == ErrorCode::Unwritable && message.contains(&file.display().to_string()),
                "{message}"
            );
        }
        check(&folder.path().join("plot.svg")).expect("writable");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = Folder::new("plot-test").expect("a folder");
        let file = folder.path().join("plot.svg");
        std::fs::write(&file, "before").expect("a file");
        check(&file).expect("writable");
        assert_eq!(std::fs::read_to_string(&file).expect("a file"), "before");
        write(&report(&["mesh"]), &file).expect("written");
        assert!(std::fs::read_to_string(&file).expect("a file").starts_with("<svg "));
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
