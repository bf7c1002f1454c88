//! The one place of the tests with `unsafe`: fork, wait, and memory that processes share.
#![allow(unsafe_code, dead_code, reason = "fork has no safe form; each block says why it is sound here")]

use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::AtomicU64;

/// How a child ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// `_exit` with this code.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
}

/// A forked child.
pub(crate) struct Child(libc::pid_t);

/// Runs `f` in a forked child, which ends with its result as exit code and never returns.
pub(crate) fn spawn(f: impl FnOnce() -> i32) -> Child {
    // SAFETY: the child uses nothing that another thread of the parent could hold locked but the allocator,
    // which the C library makes usable again in the child.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_or(101);
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(code) };
    }
    Child(pid)
}

impl Child {
    /// Waits until it is stopped (true) or has ended (false; it is still to be waited for).
    pub(crate) fn stopped(&self) -> bool {
        // SAFETY: all zeroes is a value of this plain struct, and the call only writes it; WNOWAIT leaves
        // the child to `wait`.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let flags = libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT;
            let got = libc::waitid(libc::P_PID, self.0 as libc::id_t, &mut info, flags);
            assert_eq!(got, 0, "waitid failed");
            info.si_code == libc::CLD_STOPPED
        }
    }

    /// Waits for its end.
    pub(crate) fn wait(self) -> End {
        let mut status = 0;
        // SAFETY: `status` is valid for the call; the pid is our own unwaited child.
        let got = unsafe { libc::waitpid(self.0, &mut status, 0) };
        assert_eq!(got, self.0, "waitpid failed");
        if libc::WIFEXITED(status) {
            End::Code(libc::WEXITSTATUS(status))
        } else {
            End::Signal(libc::WTERMSIG(status))
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: plain integers; the pid is our own child.
        unsafe { libc::kill(self.0, signal) };
    }
}

/// A file's words, mapped by several processes at once.
pub(crate) struct SharedWords {
    base: *mut AtomicU64,
    len: usize,
}

// SAFETY: the memory is reached through atomics alone and unmapped only by the last owner.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Maps all of a file. Nobody may shorten it afterwards.
    pub(crate) fn open(path: &Path) -> std::io::Result<SharedWords> {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
        let bytes = file.metadata()?.len() as usize;
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing of this process.
        let base = unsafe {
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), bytes, prot, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if base == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        Ok(SharedWords { base: base.cast(), len: bytes / 8 })
    }
}

impl std::ops::Deref for SharedWords {
    type Target = [AtomicU64];
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: page-aligned, `len * 8` bytes are mapped as long as `self` lives, only atomics reach them.
        unsafe { std::slice::from_raw_parts(self.base, self.len) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: mapped in `open` with this length; no slice outlives `self`.
        unsafe { libc::munmap(self.base.cast(), self.len * 8) };
    }
}
