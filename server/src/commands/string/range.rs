//! Strings in parts: GETRANGE, SETRANGE.

use crate::commands::collection::{change, look};
use crate::commands::keyspace::write;
use crate::commands::parse::integer;
use crate::commands::{Command, Ctx, Outcome};
use crate::core::change::KeyEvent;
use gs_client::kinds::KIND_STRING;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "getrange",
            parent: None,
            since: "2.4.0",
            group: Group::String,
            arity: Arity(4),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("end")],
            complexity: "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.",
            summary: "Get a substring of the string stored at a key",
            acl: Acl::READ.or(Acl::STRING).or(Acl::SLOW),
            reply_doc: "the bytes from start to end, none where there are none",
        },
        run: getrange,
    },
    Command {
        spec: Spec {
            name: "setrange",
            parent: None,
            since: "2.2.0",
            group: Group::String,
            arity: Arity(4),
            flags: Flags::WRITE.or(Flags::DENYOOM),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::integer("offset"), Arg::string("value")],
            complexity: "O(1), not counting the time taken to copy the new string in place. Usually, this string is very small so the amortized complexity is O(1). Otherwise, complexity is O(M) with M being the length of the value argument.",
            summary: "Overwrite part of a string at key starting at the specified offset",
            acl: Acl::WRITE.or(Acl::STRING).or(Acl::SLOW),
            reply_doc: "the new length",
        },
        run: setrange,
    },
    Command {
        spec: Spec {
            name: "substr",
            parent: None,
            since: "1.0.0",
            group: Group::String,
            arity: Arity(4),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("end")],
            complexity: "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.",
            summary: "Get a substring of the string stored at a key",
            acl: Acl::READ.or(Acl::STRING).or(Acl::SLOW),
            reply_doc: "the bytes from start to end, none where there are none",
        },
        run: getrange,
    },
];

fn getrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (start, end) = (integer(args.at(2))?, integer(args.at(3))?);
    look(ctx, args.at(1), KIND_STRING, |ctx, text| {
        ctx.reply().bulk(part(text, start, end));
        Ok(())
    })
}

/// The bytes from one place to another, both counted from the end below zero.
fn part(text: &[u8], start: i64, end: i64) -> &[u8] {
    // Both before the beginning and the wrong way round is nothing, not the first byte.
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let len = text.len() as i64;
    let place = |n: i64| if n < 0 { n.saturating_add(len).max(0) } else { n };
    let (start, end) = (place(start), place(end).min(len - 1));
    if start > end { &[] } else { text.get(start as usize..=end as usize).unwrap_or_default() }
}

fn setrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (key, piece) = (args.at(1), args.at(3));
    let offset = usize::try_from(integer(args.at(2))?).map_err(|_| Refusal::offset_out_of_range())?;
    let len = change(ctx, key, KIND_STRING, |ctx, text, found| {
        if piece.is_empty() {
            return Ok(text.len());
        }
        let end = offset.checked_add(piece.len()).filter(|end| *end <= ctx.node.settings.value_bytes_max);
        let end = end.ok_or_else(Refusal::too_long)?;
        let mut whole = text.to_vec();
        whole.resize(end.max(text.len()), 0);
        whole[offset..end].copy_from_slice(piece);
        let event = KeyEvent::string("setrange");
        write(ctx, key, &whole, found.map_or(0, |meta| meta.deadline_ms), event)?;
        Ok(whole.len())
    })?;
    ctx.int(len as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_from_both_ends_and_never_overflow() {
        let part = |start, end| part(b"Hello", start, end);
        assert_eq!(part(0, -1), b"Hello");
        assert_eq!(part(-3, -2), b"ll");
        assert_eq!(part(1, 1), b"e");
        assert_eq!(part(3, 1), b"");
        assert_eq!(part(-1, -3), b"");
        assert_eq!(part(5, 9), b"");
        assert_eq!(part(i64::MIN, i64::MAX), b"Hello");
        assert_eq!(part(i64::MAX, i64::MAX), b"");
        assert_eq!(part(-100, -50), b"H");
    }
}
