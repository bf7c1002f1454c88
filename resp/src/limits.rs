//! How much one request may cost before it is believed.

/// Bounds that [`crate::Parser`] applies to declared lengths, before a byte of them is stored.
///
/// Build one from a constant: `Limits { bulk_bytes_max: 1 << 20, ..Limits::AFTER_AUTH }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most words in one command, its name included.
    pub args_max: usize,
    /// Longest single word, in bytes.
    pub bulk_bytes_max: usize,
    /// Longest inline line, and longest count line, in bytes.
    pub inline_bytes_max: usize,
    /// Longest whole request in bytes, headers included. Values above `u32::MAX` mean `u32::MAX`.
    pub request_bytes_max: usize,
    /// Whether the client has proven who it is: decides the words of a refusal, not the bounds.
    pub authenticated: bool,
}

impl Limits {
    /// What a stranger may send: enough for HELLO and AUTH, too little to cost memory. Redis's own numbers.
    pub const BEFORE_AUTH: Limits = Limits {
        args_max: 10,
        bulk_bytes_max: 16 * 1024,
        inline_bytes_max: 64 * 1024,
        request_bytes_max: 256 * 1024,
        authenticated: false,
    };

    /// What a known client may send unless it is configured otherwise.
    pub const AFTER_AUTH: Limits = Limits {
        args_max: 65_536,
        bulk_bytes_max: 512 * 1024 * 1024,
        inline_bytes_max: 64 * 1024,
        request_bytes_max: 1024 * 1024 * 1024,
        authenticated: true,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::AFTER_AUTH
    }
}
