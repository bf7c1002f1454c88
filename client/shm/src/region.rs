//! The memory behind a section: private or mapped, the same slices of atomics either way.

use std::sync::Arc;

use crate::Geometry;
#[cfg(not(any(loom, shuttle)))]
use crate::map::Mapping;
use crate::sync::{AtomicU16, AtomicU64};

/// Memory that several attachments may share.
#[derive(Clone)]
pub(crate) enum Region {
    /// Ordinary vectors: what loom and miri can follow.
    #[cfg(any(loom, shuttle, miri))]
    Plain(Arc<(Box<[AtomicU64]>, Box<[AtomicU16]>)>),
    /// Mapped memory, anonymous or named.
    #[cfg(not(any(loom, shuttle)))]
    Mapped(Arc<Mapping>),
}

impl Region {
    /// Private zeroed memory.
    pub(crate) fn heap(geometry: &Geometry) -> std::io::Result<Region> {
        #[cfg(any(loom, shuttle, miri))]
        {
            let words = (0..geometry.words).map(|_| AtomicU64::new(0)).collect();
            let touch = (0..geometry.blocks).map(|_| AtomicU16::new(0)).collect();
            Ok(Region::Plain(Arc::new((words, touch))))
        }
        #[cfg(not(any(loom, shuttle, miri)))]
        {
            let len = geometry.total_len as usize;
            let mapping = Mapping::anonymous(len, geometry.words, geometry.blocks as usize)?;
            Ok(Region::Mapped(Arc::new(mapping)))
        }
    }

    /// All words of the section.
    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        match self {
            #[cfg(any(loom, shuttle, miri))]
            Region::Plain(plain) => &plain.0,
            #[cfg(not(any(loom, shuttle)))]
            Region::Mapped(mapping) => mapping.words(),
        }
    }

    /// One touch word per block.
    #[inline]
    pub(crate) fn touch(&self) -> &[AtomicU16] {
        match self {
            #[cfg(any(loom, shuttle, miri))]
            Region::Plain(plain) => &plain.1,
            #[cfg(not(any(loom, shuttle)))]
            Region::Mapped(mapping) => mapping.touch(),
        }
    }
}
