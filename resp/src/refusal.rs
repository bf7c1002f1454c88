//! A refused command: the code and the words, Redis 7.0's own where Redis has them.

use std::borrow::Cow;

use crate::args::Args;
use crate::codes::Code;

/// Bytes of a client's text that an error repeats.
const ECHO_BYTES_MAX: usize = 128;

/// An error reply. The connection lives on; only a [`crate::ProtocolError`] closes it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} {text}", code.prefix())]
pub struct Refusal {
    /// The first word on the wire.
    pub code: Code,
    /// What follows it. May hold any character: CR and LF become spaces when it is encoded.
    pub text: Cow<'static, str>,
}

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident $code:ident $text:literal;)*) => {
        $($(#[$doc])* pub const fn $name() -> Refusal {
            Refusal { code: Code::$code, text: Cow::Borrowed($text) }
        })*
    };
}

impl Refusal {
    /// Any code with any words.
    pub fn new(code: Code, text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { code, text: text.into() }
    }

    /// `ERR` with any words.
    pub fn err(text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::new(Code::Err, text)
    }

    /// The wrong number of arguments. `name` is the full name from the command table: `get`, `client|setname`.
    pub fn wrong_arity(name: &str) -> Refusal {
        Refusal::err(format!("wrong number of arguments for '{name}' command"))
    }

    /// No such command; repeats the name and the first words, 128 bytes of each at most, up to a NUL as C does.
    /// Bytes that are no UTF-8 are replaced.
    pub fn unknown_command(name: &[u8], args: Args<'_>) -> Refusal {
        let mut shown = Vec::new();
        for arg in args {
            if shown.len() >= ECHO_BYTES_MAX {
                break;
            }
            let room = ECHO_BYTES_MAX - shown.len();
            shown.push(b'\'');
            shown.extend_from_slice(c_text(arg, room));
            shown.extend_from_slice(b"' ");
        }
        let name = String::from_utf8_lossy(c_text(name, ECHO_BYTES_MAX));
        let shown = String::from_utf8_lossy(&shown);
        Refusal::err(format!("unknown command '{name}', with args beginning with: {shown}"))
    }

    /// No such subcommand of a container such as CLIENT; `container` in any case.
    pub fn unknown_subcommand(container: &[u8], sub: &[u8]) -> Refusal {
        let sub = String::from_utf8_lossy(c_text(sub, ECHO_BYTES_MAX));
        let container = String::from_utf8_lossy(container).to_ascii_uppercase();
        Refusal::err(format!("unknown subcommand '{sub}'. Try {container} HELP."))
    }

    /// What a container says when a known subcommand has the wrong words behind it.
    pub fn subcommand_syntax(container: &[u8], sub: &[u8]) -> Refusal {
        let sub = String::from_utf8_lossy(c_text(sub, ECHO_BYTES_MAX));
        let container = String::from_utf8_lossy(container).to_ascii_uppercase();
        Refusal::err(format!(
            "unknown subcommand or wrong number of arguments for '{sub}'. Try {container} HELP."
        ))
    }

    /// A time to live that is zero, negative or too far; `name` as in [`Refusal::wrong_arity`].
    pub fn invalid_expire(name: &str) -> Refusal {
        Refusal::err(format!("invalid expire time in '{name}' command"))
    }

    /// A command that a RESP2 subscriber may not send; `name` in lower case, full.
    pub fn in_subscription(name: &str) -> Refusal {
        Refusal::err(format!(
            "Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
        ))
    }

    /// A command this user may not run; `name` as in [`Refusal::wrong_arity`].
    pub fn no_permission(name: &str) -> Refusal {
        Refusal::new(Code::NoPerm, format!("this user has no permissions to run the '{name}' command"))
    }

    fixed! {
        /// Options that do not fit together.
        syntax Err "syntax error";
        /// An argument or a value is no integer of 64 bits.
        not_integer Err "value is not an integer or out of range";
        /// An argument or a value is no number.
        not_float Err "value is not a valid float";
        /// A count below zero.
        not_positive Err "value is out of range, must be positive";
        /// A sum that leaves 64 bits.
        overflow Err "increment or decrement would overflow";
        /// A sum that is no number any more.
        nan_or_infinity Err "increment would produce NaN or Infinity";
        /// A hash field holds no integer.
        hash_not_integer Err "hash value is not an integer";
        /// A hash field holds no number.
        hash_not_float Err "hash value is not a float";
        /// A string would grow past what a value may have.
        too_long Err "string exceeds maximum allowed size (proto-max-bulk-len)";
        /// An offset below zero.
        offset_out_of_range Err "offset is out of range";
        /// RENAME of nothing.
        no_such_key Err "no such key";
        /// SCAN with a cursor that is no number.
        invalid_cursor Err "invalid cursor";
        /// SELECT beyond the last database.
        db_out_of_range Err "DB index is out of range";
        /// The key holds another kind of value.
        wrong_type WrongType "Operation against a key holding the wrong kind of value";
        /// Anything but HELLO, AUTH, QUIT and RESET before authentication.
        no_auth NoAuth "Authentication required.";
        /// HELLO without AUTH before authentication.
        no_auth_hello NoAuth "HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";
        /// AUTH with wrong words.
        wrong_pass WrongPass "invalid username-password pair or user is disabled.";
        /// AUTH where no password is set.
        no_password_set Err "AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";
        /// HELLO with a version other than 2 and 3.
        no_proto NoProto "unsupported protocol version";
        /// HELLO with a version that is no number.
        proto_not_integer Err "Protocol version is not an integer or out of range";
        /// EXEC after a refused command.
        exec_abort ExecAbort "Transaction discarded because of previous errors.";
        /// MULTI in MULTI.
        nested_multi Err "MULTI calls can not be nested";
        /// EXEC alone.
        exec_without_multi Err "EXEC without MULTI";
        /// DISCARD alone.
        discard_without_multi Err "DISCARD without MULTI";
        /// WATCH in MULTI.
        watch_inside_multi Err "WATCH inside MULTI is not allowed";
        /// A command that may not be queued.
        not_in_transaction Err "Command not allowed inside a transaction";
        /// EVALSHA of an unknown script.
        no_script NoScript "No matching script. Please use EVAL.";
        /// A write without room.
        oom Oom "command not allowed when used memory > 'maxmemory'.";
        /// A write to a node that takes none.
        read_only ReadOnly "You can't write against a read only replica.";
        /// Before the node serves.
        loading Loading "Redis is loading the dataset in memory";
        /// One connection too many.
        max_clients Err "max number of clients reached";
        /// Any CLUSTER command; rueidis needs the word "cluster" to go on without one.
        cluster_disabled Err "This instance has cluster support disabled";
    }
}

/// What C's `%.*s` prints of these bytes: up to `max`, up to the first NUL.
fn c_text(bytes: &[u8], max: usize) -> &[u8] {
    let text = &bytes[..bytes.len().min(max)];
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::OwnedArgs;

    fn unknown(words: &[&[u8]]) -> String {
        let owned = OwnedArgs::from_iter(words);
        let args = owned.as_args();
        Refusal::unknown_command(args.name(), args.skip(1)).to_string()
    }

    #[test]
    fn clients_that_match_on_words_find_redis_s_words() {
        assert_eq!(
            unknown(&[b"x", b"a", b"b"]),
            "ERR unknown command 'x', with args beginning with: 'a' 'b' "
        );
        assert_eq!(unknown(&[b"x"]), "ERR unknown command 'x', with args beginning with: ");
        assert_eq!(
            Refusal::wrong_arity("get").to_string(),
            "ERR wrong number of arguments for 'get' command"
        );
        assert_eq!(
            Refusal::unknown_subcommand(b"client", b"x").to_string(),
            "ERR unknown subcommand 'x'. Try CLIENT HELP."
        );
        assert_eq!(
            Refusal::wrong_type().to_string(),
            "WRONGTYPE Operation against a key holding the wrong kind of value"
        );
        assert_eq!(Refusal::invalid_expire("set").to_string(), "ERR invalid expire time in 'set' command");
    }

    #[test]
    fn what_a_client_sent_is_repeated_only_in_part() {
        let long = [b'y'; 300];
        let y = |n| "y".repeat(n);
        assert_eq!(
            unknown(&[&long, &long, b"z"]),
            format!("ERR unknown command '{}', with args beginning with: '{}' ", y(128), y(128))
        );
        // The room left shrinks by the quotes and the space too.
        assert_eq!(
            unknown(&[b"x", &long[..120], &long, b"z"]),
            format!("ERR unknown command 'x', with args beginning with: '{}' '{}' ", y(120), y(5))
        );
        assert_eq!(unknown(&[b"x\0y", b"\0"]), "ERR unknown command 'x', with args beginning with: '' ");
    }
}
