//! A simple limit per path, so that one path cannot fill the section of all.

/// The limit of one path; 0 means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Objects at most.
    pub objects_max: u64,
    /// Bytes at most.
    pub bytes_max: u64,
}

/// What a path holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Objects held.
    pub objects: u64,
    /// Bytes held.
    pub bytes: u64,
}

/// Which limit a write would pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// One object too many.
    Objects {
        /// The limit.
        max: u64,
    },
    /// Too many bytes.
    Bytes {
        /// The limit.
        max: u64,
    },
}

/// Judges a write that replaces `old_bytes` (`None`: the key is new) by `new_bytes`.
///
/// A write that makes the path smaller is always allowed, also on a path that is over its limit already (the limit
/// may have been lowered): refusing it would keep the path over.
pub fn check(quota: &Quota, usage: &Usage, old_bytes: Option<u64>, new_bytes: u64) -> Result<(), Over> {
    let grows = new_bytes > old_bytes.unwrap_or(0);
    let objects = usage.objects.saturating_add(u64::from(old_bytes.is_none()));
    if quota.objects_max > 0 && old_bytes.is_none() && objects > quota.objects_max {
        return Err(Over::Objects { max: quota.objects_max });
    }
    let bytes = usage.bytes.saturating_sub(old_bytes.unwrap_or(0)).saturating_add(new_bytes);
    if quota.bytes_max > 0 && grows && bytes > quota.bytes_max {
        return Err(Over::Bytes { max: quota.bytes_max });
    }
    Ok(())
}
