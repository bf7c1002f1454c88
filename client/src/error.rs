//! What can go wrong for a caller of the library, and whose fault it is.

use gs_resp::Reply;

use crate::cache::OpenError;
use crate::link::LinkError;
use crate::tls::TlsError;

/// Why an operation on a session has no answer. None of these ever means "the session does not exist".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The relay (or who must be asked behind it) cannot be reached. Retry later.
    #[error("unavailable: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// Whether a write may have been carried out all the same.
        maybe_done: bool,
    },
    /// The session was destroyed and its path does not let a late save bring it back. Do not retry; make a new id.
    #[error("destroyed: {0}")]
    Gone(String),
    /// The key holds only a hash of a value; see `check_hash`.
    #[error("the key holds only a hash of its value: verify with check_hash")]
    Hashed,
    /// The key holds another kind of value than the operation is for: a hash, a set, or no sealed value.
    #[error("another kind of value: {0}")]
    WrongType(String),
    /// The relay refused the command; its words say why.
    #[error("the relay refuses: {0}")]
    Refused(String),
    /// The relay's answer makes no sense to this version of the library.
    #[error("the relay's answer to {command} is not understood")]
    Protocol {
        /// The command asked.
        command: &'static str,
    },
    /// Too many keys are waited for already.
    #[error("{0} keys are waited for already, which is the limit")]
    TooManyWants(usize),
    /// The section could not be made or attached.
    #[error(transparent)]
    Section(#[from] OpenError),
    /// The TLS configuration is unusable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No relay is configured.
    #[error("no relay is configured: give at least one HOST:PORT")]
    NoRelay,
    /// The background thread of the blocking face could not be started.
    #[error("cannot start the background thread: {0}")]
    Runtime(std::io::Error),
}

impl From<LinkError> for SessionError {
    fn from(error: LinkError) -> Self {
        SessionError::Unavailable { maybe_done: !error.not_sent(), reason: error.to_string() }
    }
}

/// Turns an error reply into the error it is; any other reply passes.
pub(crate) fn refusal(reply: Reply) -> Result<Reply, SessionError> {
    let Reply::Error(text) = reply else {
        return Ok(reply);
    };
    // Codes by their first word, as the protocol has them; the texts are for people.
    Err(match text.split(' ').next().unwrap_or_default() {
        "GONE" => SessionError::Gone(text),
        "WRONGTYPE" => SessionError::WrongType(text),
        "UNAVAILABLE" | "LOADING" | "TRYAGAIN" | "BUSY" | "MASTERDOWN" => {
            SessionError::Unavailable { reason: text, maybe_done: false }
        }
        _ => SessionError::Refused(text),
    })
}
