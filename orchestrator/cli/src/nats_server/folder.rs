//! The folder that a server keeps its data in.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use mesh_schemas::ErrorCode;

use crate::failure::Failure;

/// Holds the number of the process that uses the folder, and the lock that keeps others away.
const LOCK: &str = "mesh.lock";

/// Makes the folder if it is not there, and keeps others away from it for as long as the file is held: two servers on
/// one folder would destroy each other's data.
pub(super) fn take(data: &Path) -> anyhow::Result<File> {
    let failure = |message: String| Failure::new(ErrorCode::DataFolder, message);
    let unusable =
        || failure(format!("the data folder {} cannot be used; choose another with --data", data.display()));
    std::fs::create_dir_all(data).with_context(unusable)?;
    let path = data.join(LOCK);
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.with_context(unusable)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).with_context(unusable)?;
            writeln!(file, "{}", std::process::id()).with_context(unusable)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok());
            let pid = pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
            let message = format!(
                "another `mesh up`{pid} uses the data folder {}: stop it, or choose another folder with --data",
                data.display()
            );
            Err(failure(message).into())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(unusable),
    }
}
