//! Folders for the time of one command.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A folder among the temporary files, which is removed when this is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes one whose name says what it is for.
    pub(crate) fn new(purpose: &str) -> anyhow::Result<Self> {
        let name = format!("mesh-{purpose}-{}", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
