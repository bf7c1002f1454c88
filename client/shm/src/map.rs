//! The one file with `unsafe`: mapped memory seen as slices of atomics, and the few system calls that no
//! safe wrapper offers.
#![allow(
    unsafe_code,
    reason = "mapped memory and fcntl locks cannot be had otherwise; each block says why it is sound"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rustix::mm::{Advice, MapFlags, ProtFlags};
use shared_memory::{Shmem, ShmemConf};

use crate::sync::{AtomicU16, AtomicU64};

/// Where the C library keeps shared memory objects.
pub(crate) const SHM_DIR: &str = "/dev/shm";

enum Backing {
    /// A named object; kept only so that its mapping lives as long as the slices.
    Named { _shm: Shmem },
    /// Private anonymous memory.
    Anonymous,
    /// A named object, mapped for reading alone: a store to it ends the process.
    ReadOnly,
}

/// Mapped memory of fixed length, zeroed when new.
pub(crate) struct Mapping {
    base: *mut u8,
    len: usize,
    words: usize,
    touch: usize,
    backing: Backing,
}

// SAFETY: the memory is reached through atomics alone (`words`, `touch`), which any thread may use at once;
// `Shmem` is never touched again until it is dropped, and dropping needs the only owner.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        if let Backing::Anonymous | Backing::ReadOnly = self.backing {
            // SAFETY: `base..base+len` was mapped by `anonymous` or `look`, and no slice outlives `self`.
            let _ = unsafe { rustix::mm::munmap(self.base.cast(), self.len) };
        }
    }
}

impl Mapping {
    /// Private memory of `len` bytes: `words` u64, then `touch` u16.
    pub(crate) fn anonymous(len: usize, words: usize, touch: usize) -> io::Result<Mapping> {
        // SAFETY: a new anonymous mapping at an address of the kernel's choice aliases nothing.
        let base = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?
        };
        Mapping::checked(base.cast(), len, words, touch, Backing::Anonymous)
    }

    /// A new named object of `len` bytes, mode 0600, not yet populated.
    pub(crate) fn create(name: &str, len: usize, words: usize, touch: usize) -> io::Result<Mapping> {
        let shm = ShmemConf::new().os_id(name).size(len).create().map_err(io::Error::other)?;
        Mapping::named(shm, len, words, touch)
    }

    /// An existing named object; refused unless it has exactly `len` bytes.
    pub(crate) fn open(name: &str, len: usize, words: usize, touch: usize) -> io::Result<Mapping> {
        let shm = ShmemConf::new().os_id(name).open().map_err(io::Error::other)?;
        Mapping::named(shm, len, words, touch)
    }

    /// An existing named object, to be looked at: nothing can be changed through it.
    pub(crate) fn look(name: &str, len: usize, words: usize, touch: usize) -> io::Result<Mapping> {
        let file = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(Mapping::path(name))?;
        if file.metadata()?.len() < len as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "shared memory is shorter than expected"));
        }
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing of this process's.
        let base = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, &file, 0)?
        };
        Mapping::checked(base.cast(), len, words, touch, Backing::ReadOnly)
    }

    fn named(mut shm: Shmem, len: usize, words: usize, touch: usize) -> io::Result<Mapping> {
        // The crate's owner unlinks by name when dropped, in forked children too; names are ours to remove.
        shm.set_owner(false);
        if shm.len() != len {
            let text = format!("shared memory has {} bytes where {len} were expected", shm.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let base = shm.as_ptr();
        Mapping::checked(base, len, words, touch, Backing::Named { _shm: shm })
    }

    fn checked(
        base: *mut u8,
        len: usize,
        words: usize,
        touch: usize,
        backing: Backing,
    ) -> io::Result<Mapping> {
        let mapping = Mapping { base, len, words, touch, backing };
        // Slices are made from these three numbers alone, so they are judged once, here.
        let fits = words.checked_mul(8).and_then(|w| w.checked_add(touch * 2)).is_some_and(|end| end <= len);
        if base.is_null() || !base.cast::<u64>().is_aligned() || !fits {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "mapping too short or not aligned"));
        }
        for advice in [Advice::LinuxDontDump, Advice::LinuxHugepage] {
            // SAFETY: advice on our own mapping that does not change its contents. Failure is no loss.
            let _ = unsafe { rustix::mm::madvise(base.cast(), len, advice) };
        }
        Ok(mapping)
    }

    /// Makes the kernel supply every page now, so that a full file system is an error and never SIGBUS.
    pub(crate) fn populate(&self) -> io::Result<()> {
        // SAFETY: prefaulting our own mapping for writing does not change its contents.
        match unsafe { rustix::mm::madvise(self.base.cast(), self.len, Advice::LinuxPopulateWrite) } {
            Ok(()) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// The part made of words.
    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: `checked` proved base non-null, 8-aligned and `words * 8 <= len`; the memory lives as long
        // as `self`; it is never reached except through atomics of this width at these addresses.
        unsafe { std::slice::from_raw_parts(self.base.cast::<AtomicU64>(), self.words) }
    }

    /// The touch part behind the words.
    #[inline]
    pub(crate) fn touch(&self) -> &[AtomicU16] {
        // SAFETY: `checked` proved `words * 8 + touch * 2 <= len`; the offset is a multiple of 8, so aligned;
        // these addresses are never reached with another width.
        unsafe { std::slice::from_raw_parts(self.base.add(self.words * 8).cast::<AtomicU16>(), self.touch) }
    }

    /// First address, for finding the mapping in /proc/self/smaps.
    pub(crate) fn address(&self) -> usize {
        self.base as usize
    }

    /// Path of a named object.
    pub(crate) fn path(name: &str) -> PathBuf {
        PathBuf::from(SHM_DIR).join(name)
    }
}

/// A page that reads 1 in the process that made it and 0 in any fork of it.
pub(crate) struct ForkPage {
    page: Option<*mut std::sync::atomic::AtomicU64>,
}

// SAFETY: the page is reached through an atomic alone and unmapped only by the last owner.
unsafe impl Send for ForkPage {}
// SAFETY: as above.
unsafe impl Sync for ForkPage {}

const FORK_PAGE_BYTES: usize = 4096;

impl ForkPage {
    /// Where the kernel offers no wiping, forks go unnoticed (they then err to "alive": a leak).
    pub(crate) fn new() -> ForkPage {
        if cfg!(miri) {
            // It knows no advice and no fork.
            return ForkPage { page: None };
        }
        let flags = MapFlags::PRIVATE;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new anonymous mapping aliases nothing.
        let mapped =
            unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), FORK_PAGE_BYTES, prot, flags) };
        let Ok(base) = mapped else {
            return ForkPage { page: None };
        };
        // SAFETY: advice on the page mapped above, which is ours alone.
        let wiped = unsafe { rustix::mm::madvise(base, FORK_PAGE_BYTES, Advice::LinuxWipeOnFork) };
        let page = ForkPage { page: wiped.is_ok().then_some(base.cast()) };
        if let Some(word) = page.word() {
            word.store(1, std::sync::atomic::Ordering::Relaxed);
        } else {
            // SAFETY: mapped above and not handed out.
            let _ = unsafe { rustix::mm::munmap(base, FORK_PAGE_BYTES) };
        }
        page
    }

    fn word(&self) -> Option<&std::sync::atomic::AtomicU64> {
        // SAFETY: the page is mapped, zeroed or written by us, aligned, and lives until `self` is dropped.
        self.page.map(|page| unsafe { &*page })
    }

    /// Whether this process is a fork of the one that made the page.
    #[inline]
    pub(crate) fn forked(&self) -> bool {
        self.word().is_some_and(|word| word.load(std::sync::atomic::Ordering::Relaxed) == 0)
    }
}

impl Drop for ForkPage {
    fn drop(&mut self) {
        if let Some(page) = self.page {
            // SAFETY: mapped in `new` with this length; nothing borrows it any more.
            let _ = unsafe { rustix::mm::munmap(page.cast(), FORK_PAGE_BYTES) };
        }
    }
}

fn flock(byte: i64) -> libc::flock {
    // SAFETY: `flock` is plain integers, for which all zeroes is a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = byte as libc::off_t;
    lock.l_len = 1;
    lock
}

/// Takes an open-file-description lock on one byte; false if someone else holds it. The lock goes with the
/// last copy of the descriptor, so a process that dies in any way gives it back.
pub(crate) fn lock_byte(fd: BorrowedFd<'_>, byte: i64) -> io::Result<bool> {
    let lock = flock(byte);
    // SAFETY: the descriptor is open (borrowed) and `lock` is a valid struct that the call only reads.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &lock) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN) | Some(libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

/// Gives a byte back.
pub(crate) fn unlock_byte(fd: BorrowedFd<'_>, byte: i64) {
    let mut lock = flock(byte);
    lock.l_type = libc::F_UNLCK as libc::c_short;
    // SAFETY: as in `lock_byte`.
    let _ = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &lock) };
}

/// Whether another open file description holds the byte.
pub(crate) fn byte_is_locked(fd: BorrowedFd<'_>, byte: i64) -> io::Result<bool> {
    let mut lock = flock(byte);
    // SAFETY: the descriptor is open and `lock` is a valid struct that the call may write.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_GETLK, &mut lock) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
}

/// Asks for the cache lines of some words ahead of their use. They need not begin on a line.
#[inline]
pub(crate) fn prefetch<T>(words: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let mut at = words.as_ptr().cast::<i8>();
        let last = words.last().map_or(at, |last| std::ptr::from_ref(last).cast());
        while at < last {
            // SAFETY: a prefetch of a valid address has no effect but on caches, and of another none.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at) };
            at = at.wrapping_add(64);
        }
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(last) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = words;
}

/// This processor's way of moving words in bulk; [`crate::words`] says who takes it.
#[cfg(all(target_arch = "x86_64", not(any(loom, shuttle, miri))))]
#[cfg_attr(feature = "crash-points", allow(dead_code, reason = "stores are counted there, one by one"))]
pub(crate) mod bulk {
    use crate::sync::AtomicU64;

    /// Moves a multiple of eight bytes to or from the section, a cache line at a time instead of a word.
    ///
    /// The words may be written or read by others meanwhile. A copy by the language's own means would then be undefined,
    /// and one by atomics goes word by word; an assembly block is neither. The block counts as an access to memory, so the
    /// compiler keeps it on its side of every fence, and this processor keeps loads in order, and stores. Aligned words are
    /// not torn within a wider access in practice; the checksum judges what was read all the same.
    ///
    /// # Safety
    /// `bytes` bytes can be read at `from` and written at `to`, and the two do not overlap.
    #[inline]
    unsafe fn move_words(from: *const u8, to: *mut u8, bytes: usize) {
        // SAFETY: the caller's; only the named registers and flags change, and the stack is not used.
        unsafe {
            std::arch::asm!(
                "sub {left}, 64",
                "jb 3f",
                "2:",
                "movdqu {a}, [{from}]",
                "movdqu {b}, [{from} + 16]",
                "movdqu {c}, [{from} + 32]",
                "movdqu {d}, [{from} + 48]",
                "movdqu [{to}], {a}",
                "movdqu [{to} + 16], {b}",
                "movdqu [{to} + 32], {c}",
                "movdqu [{to} + 48], {d}",
                "add {from}, 64",
                "add {to}, 64",
                "sub {left}, 64",
                "jae 2b",
                "3:",
                "test {left:l}, 32",
                "jz 4f",
                "movdqu {a}, [{from}]",
                "movdqu {b}, [{from} + 16]",
                "movdqu [{to}], {a}",
                "movdqu [{to} + 16], {b}",
                "add {from}, 32",
                "add {to}, 32",
                "4:",
                "test {left:l}, 16",
                "jz 5f",
                "movdqu {a}, [{from}]",
                "movdqu [{to}], {a}",
                "add {from}, 16",
                "add {to}, 16",
                "5:",
                "test {left:l}, 8",
                "jz 6f",
                "movq {a}, qword ptr [{from}]",
                "movq qword ptr [{to}], {a}",
                "6:",
                left = inout(reg) bytes => _,
                from = inout(reg) from => _,
                to = inout(reg) to => _,
                a = out(xmm_reg) _,
                b = out(xmm_reg) _,
                c = out(xmm_reg) _,
                d = out(xmm_reg) _,
                options(nostack),
            );
        }
    }

    /// Appends words as little-endian bytes. What it read is believed only after the control word was found unmoved, as
    /// with any other way of copying.
    #[inline]
    pub(crate) fn append_words(words: &[AtomicU64], out: &mut Vec<u8>) {
        let bytes = words.len() * 8;
        out.reserve(bytes);
        let len = out.len();
        // SAFETY: the source is `bytes` readable bytes of the slice; the target is the Vec's own spare room, which
        // was just made that large and overlaps nothing; all of it is written before the length says so.
        unsafe {
            move_words(words.as_ptr().cast(), out.as_mut_ptr().add(len), bytes);
            out.set_len(len + bytes);
        }
    }

    /// Stores little-endian bytes into as many words as both have: the other direction. Who reads meanwhile does not believe
    /// what it got.
    #[inline]
    pub(crate) fn store_words(words: &[AtomicU64], from: &[[u8; 8]]) {
        let bytes = words.len().min(from.len()) * 8;
        // SAFETY: both slices have that many bytes and cannot overlap: one is borrowed as plain bytes, which the mapping
        // never is. The words are atomics, so a shared borrow may be written through.
        unsafe { move_words(from.as_ptr().cast(), words.as_ptr().cast_mut().cast(), bytes) }
    }

    /// Zeroes words, a cache line at a time; as [`move_words`] does.
    #[inline]
    pub(crate) fn zero_words(words: &[AtomicU64]) {
        // SAFETY: writes the words of the slice and nothing else; they are atomics, so a shared borrow may. Only the named
        // registers and flags change, and the stack is not used.
        unsafe {
            std::arch::asm!(
                "pxor {zero}, {zero}",
                "sub {left}, 8",
                "jb 3f",
                "2:",
                "movdqu [{to}], {zero}",
                "movdqu [{to} + 16], {zero}",
                "movdqu [{to} + 32], {zero}",
                "movdqu [{to} + 48], {zero}",
                "add {to}, 64",
                "sub {left}, 8",
                "jae 2b",
                "3:",
                "add {left}, 8",
                "jz 5f",
                "4:",
                "movq qword ptr [{to}], {zero}",
                "add {to}, 8",
                "dec {left}",
                "jnz 4b",
                "5:",
                left = inout(reg) words.len() => _,
                to = inout(reg) words.as_ptr() => _,
                zero = out(xmm_reg) _,
                options(nostack),
            );
        }
    }

    /// Which slots of a bucket bear a tag in their top 16 bits, one bit for each.
    ///
    /// Eight loads by the language's own atomics and what follows them are many of a hit's instructions. Slots
    /// are aligned words, which no x86-64 processor tears within a wider load, and each of its loads acquires.
    /// [`crate::blocks::Slot`]s found here are loaded again before they are followed.
    #[inline]
    pub(crate) fn tag_bits(bucket: &[AtomicU64], tag: u16) -> u32 {
        let Some(bucket) = bucket.first_chunk::<8>() else {
            return 0;
        };
        let bits: u32;
        // SAFETY: reads 64 bytes from an array of eight words, writes nothing but the named registers, and does not
        // use the stack.
        unsafe {
            let tags = std::arch::x86_64::_mm_set1_epi16(tag.cast_signed());
            std::arch::asm!(
                "movdqu {a}, [{bucket}]",
                "movdqu {b}, [{bucket} + 16]",
                "movdqu {c}, [{bucket} + 32]",
                "movdqu {d}, [{bucket} + 48]",
                // The upper half of each word, then its upper half: the tags, sign-extended so that packing
                // cannot saturate.
                "shufps {a}, {b}, 0xdd",
                "shufps {c}, {d}, 0xdd",
                "psrad {a}, 16",
                "psrad {c}, 16",
                "packssdw {a}, {c}",
                "pcmpeqw {a}, {tags}",
                "packsswb {a}, {a}",
                "pmovmskb {bits:e}, {a}",
                // Packed with itself: the upper eight bits repeat the lower.
                "movzx {bits:e}, {bits:l}",
                bucket = in(reg) bucket.as_ptr(),
                tags = in(xmm_reg) tags,
                bits = lateout(reg) bits,
                a = out(xmm_reg) _,
                b = out(xmm_reg) _,
                c = out(xmm_reg) _,
                d = out(xmm_reg) _,
                options(nostack, readonly, preserves_flags),
            );
        }
        bits
    }
}

/// Ends the process at once, as a kill would: no destructors, no flushing.
#[cfg(feature = "crash-points")]
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any number and does not return.
    unsafe { libc::_exit(code) }
}
