//! The one place of the tests with `unsafe`: fork, and wait.
#![allow(unsafe_code, dead_code, reason = "fork has no safe form; each block says why it is sound here")]

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
