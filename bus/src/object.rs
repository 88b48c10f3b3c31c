use chrono::{DateTime, TimeDelta, Utc};
use mesh_schemas::{MAX_OBJECT_BYTES, ObjectName, ObjectOwner};

use crate::error::BusError;

/// Age from which on an object that is put again counts as new: so housekeeping that removes what belongs to nothing only
/// when it is a day old never removes what somebody is just about to refer to.
const RENEWED_AFTER: TimeDelta = TimeDelta::hours(1);

/// The name of content that is to be an object.
///
/// # Errors
/// [`BusError::Refused`] if it is too long for one.
pub(crate) fn name(owner: &ObjectOwner, content: &[u8]) -> Result<ObjectName, BusError> {
    if content.len() > MAX_OBJECT_BYTES {
        let operation = format!("store an object of {owner}");
        let error = format!("it has {} bytes, and at most {MAX_OBJECT_BYTES} are allowed", content.len());
        return Err(BusError::Refused { operation, error });
    }
    Ok(ObjectName::of(owner.clone(), content))
}

/// Whether an object that is put again is so old that it is to count as new.
pub(crate) fn is_to_be_renewed(stored: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - stored > RENEWED_AFTER
}
