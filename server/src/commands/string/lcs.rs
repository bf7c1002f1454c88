//! LCS: what two strings have in common.

use crate::commands::parse::integer;
use crate::commands::{Command, Ctx, Outcome, Reply, Stop};
use gs_client::kinds::KIND_STRING;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[Command {
    spec: Spec {
        name: "lcs",
        parent: None,
        since: "7.0.0",
        group: Group::String,
        arity: Arity(-3),
        flags: Flags::READONLY,
        roles: Roles::EVERY,
        keys: Keys::TWO,
        args: &[
            Arg::key("key1"),
            Arg::key("key2"),
            Arg::token_only("len", "LEN").optional(),
            Arg::token_only("idx", "IDX").optional(),
            Arg::integer("len").token("MINMATCHLEN").optional(),
            Arg::token_only("withmatchlen", "WITHMATCHLEN").optional(),
        ],
        complexity: "O(N*M) where N and M are the lengths of s1 and s2, respectively",
        summary: "Find longest common substring",
        acl: Acl::READ.or(Acl::STRING).or(Acl::SLOW),
        reply_doc: "the common bytes, with LEN their number, with IDX a map of where they stand in both",
    },
    run: lcs,
}];

/// Cells of the table of both strings at most: it is made anew for every call and nothing else runs meanwhile.
const CELLS_MAX: usize = 16 << 20;

#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    least: usize,
    with_len: bool,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Options, Refusal> {
        let mut options = Options::default();
        let mut i = 3;
        while i < args.len() {
            if args.is(i, "idx") {
                options.idx = true;
            } else if args.is(i, "len") {
                options.len = true;
            } else if args.is(i, "withmatchlen") {
                options.with_len = true;
            } else if args.is(i, "minmatchlen") && i + 1 < args.len() {
                i += 1;
                options.least = usize::try_from(integer(args.at(i))?).unwrap_or(0);
            } else {
                return Err(Refusal::syntax());
            }
            i += 1;
        }
        if options.idx && options.len {
            return Err(Refusal::err("If you want both the length and indexes, please just use IDX."));
        }
        Ok(options)
    }
}

/// The values of both keys, nothing where there is none.
fn texts(ctx: &mut Ctx<'_>, keys: [&[u8]; 2]) -> Result<[Vec<u8>; 2], Stop> {
    let mut texts = [Vec::new(), Vec::new()];
    let mut are_strings = true;
    for (text, key) in texts.iter_mut().zip(keys) {
        let found = ctx.node.read(&ctx.conn.scope, ctx.conn.db, key, true, text, |_, _| ())?;
        ctx.node.metrics.sought(found.is_some());
        are_strings &= found.is_none_or(|meta| meta.kind == KIND_STRING);
    }
    if are_strings {
        Ok(texts)
    } else {
        Err(Refusal::err("The specified keys must contain string values").into())
    }
}

fn lcs(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    ctx.node.require(&ctx.conn.scope, ctx.conn.db, [args.at(1), args.at(2)].into_iter())?;
    let [a, b] = texts(ctx, [args.at(1), args.at(2)])?;
    let options = Options::parse(args)?;
    if (a.len() + 1).saturating_mul(b.len() + 1) > CELLS_MAX {
        let text = "Insufficient memory, transient memory for LCS exceeds what one command may take";
        return Err(Refusal::err(text).into());
    }
    let common = Common::of(&a, &b, options.least);
    let mut reply = ctx.reply();
    if options.len {
        reply.int(common.bytes.len() as i64);
    } else if options.idx {
        reply.map(2);
        reply.bulk_str("matches");
        reply.array(common.matches.len());
        for (in_a, in_b, len) in &common.matches {
            reply.array(if options.with_len { 3 } else { 2 });
            for start in [in_a, in_b] {
                reply.array(2);
                reply.uint(*start as u64);
                reply.uint((start + len - 1) as u64);
            }
            if options.with_len {
                reply.uint(*len as u64);
            }
        }
        reply.bulk_str("len");
        reply.int(common.bytes.len() as i64);
    } else {
        reply.bulk(&common.bytes);
    }
    Ok(Reply::Done)
}

/// A longest common subsequence.
struct Common {
    bytes: Vec<u8>,
    /// Runs of it, from the last to the first: where in both and how long.
    matches: Vec<(usize, usize, usize)>,
}

impl Common {
    /// By the table of all prefixes. Of equal ways back the one through the second string is taken, as in Redis.
    fn of(a: &[u8], b: &[u8], least: usize) -> Common {
        let width = b.len() + 1;
        let mut table = vec![0u32; (a.len() + 1) * width];
        for (i, x) in a.iter().enumerate() {
            let (above, below) = table.split_at_mut((i + 1) * width);
            let above = &above[i * width..];
            for (j, y) in b.iter().enumerate() {
                below[j + 1] = if x == y { above[j] + 1 } else { above[j + 1].max(below[j]) };
            }
        }
        let mut common = Common { bytes: Vec::new(), matches: Vec::new() };
        let (mut i, mut j) = (a.len(), b.len());
        let mut run: Option<(usize, usize, usize)> = None;
        let mut end = |run: &mut Option<(usize, usize, usize)>| {
            if let Some(done) = run.take().filter(|(_, _, len)| *len >= least) {
                common.matches.push(done);
            }
        };
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                common.bytes.push(a[i - 1]);
                (i, j) = (i - 1, j - 1);
                match &mut run {
                    Some(run) if run.0 == i + 1 && run.1 == j + 1 => *run = (i, j, run.2 + 1),
                    _ => {
                        end(&mut run);
                        run = Some((i, j, 1));
                    }
                }
            } else if table[(i - 1) * width + j] > table[i * width + j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        end(&mut run);
        common.bytes.reverse();
        common
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_told_from_the_last_to_the_first() {
        let common = Common::of(b"ohmytext", b"mynewtext", 0);
        assert_eq!(common.bytes, b"mytext");
        assert_eq!(common.matches, [(4, 5, 4), (2, 0, 2)]);
        assert_eq!(Common::of(b"ohmytext", b"mynewtext", 3).matches, [(4, 5, 4)]);
        assert!(Common::of(b"", b"x", 0).bytes.is_empty());
    }
}
