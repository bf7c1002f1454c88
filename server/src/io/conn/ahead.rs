//! Looking ahead in a pipeline: the commands that were read are taken apart a window at a time, and the memory that
//! they will touch is asked for before the first of them runs.
//!
//! A look-up in a large section is two dependent misses of the caches; asked for together, those of many keys
//! overlap. What was found out on the way, where a command ends, which row it is and what its key's identity is, is
//! kept for the command, so nothing is read or computed twice. Whether a word really is a key of this database when
//! its command runs does not matter: asking for the wrong line costs a little and changes nothing, and an identity
//! is believed only for the very bytes and the database that it was computed from.

use crate::commands::{Command, exec};
use crate::core::keyspace::Known;
use crate::core::node::Node;
use gs_resp::{Args, Flags, Keys, Limits, Parsed, Parser, ProtocolError};

/// Commands looked ahead: enough to hide a miss, few enough to stay in the nearest cache.
const WINDOW: usize = 16;

/// A command of the window.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    /// Where it begins in the input.
    pub(super) at: usize,
    /// Where what follows it begins.
    pub(super) end: usize,
    /// Its row, where there is one.
    pub(super) row: Option<&'static Command>,
    /// The identity of its first key.
    pub(super) known: Known,
    /// True for one that does one quick thing to one key: the time hardly goes on while it runs.
    pub(super) is_brief: bool,
}

/// The window of one connection.
#[derive(Default)]
pub(super) struct Ahead {
    /// One for each command of the window, and one for the command whose end was not there yet.
    parsers: Vec<Parser>,
    seen: Vec<Seen>,
    /// The next to run.
    next: usize,
    /// Up to where the input was taken apart.
    end: usize,
    /// The parser that is in the middle of a command.
    partial: Option<usize>,
    /// The node's coarse time when the window began to run; 0 where it has to be read.
    now_ms: u64,
}

impl Ahead {
    /// Takes the first window apart as soon as it was read, ahead of [`Ahead::next`]. True if there is a command in it
    /// whose memory was asked for.
    pub(super) fn prepare(&mut self, node: &Node, db: u8, input: &[u8], limits: &Limits) -> bool {
        // What is wrong with it is said when its turn comes.
        self.seen.is_empty()
            && self.look(node, db, input, limits).is_ok()
            && self.seen.iter().any(|seen| seen.known.is_some())
    }

    /// Asks for the records, once the buckets that name them have arrived.
    pub(super) fn ask_for_records(&self, node: &Node) {
        for seen in self.seen.iter().filter(|seen| seen.known.is_some()) {
            node.cache.section().prefetch_record(&seen.known.id);
        }
    }

    /// The input begins anew: what ran is cut off.
    pub(super) fn begin(&mut self) {
        if self.next < self.seen.len() {
            // What did not run is taken apart again, and so is what follows it.
            self.parsers.clear();
            self.partial = None;
        }
        self.seen.clear();
        (self.next, self.end, self.now_ms) = (0, 0, 0);
    }

    /// The next command of the input by its place; none where no further one is complete.
    #[inline]
    pub(super) fn next(
        &mut self,
        node: &Node,
        db: u8,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, ProtocolError> {
        if self.next == self.seen.len() {
            self.look(node, db, input, limits)?;
            // A read that knows its key does not ask again, so one command alone is asked for as well.
            self.ask_for_records(node);
            if self.seen.is_empty() {
                return Ok(None);
            }
            self.now_ms = 0;
        }
        self.next += 1;
        Ok(Some(self.next - 1))
    }

    /// A command of the window, and its words.
    #[inline]
    pub(super) fn command<'a>(&'a self, place: usize, input: &'a [u8]) -> (&'a Seen, Args<'a>) {
        let seen = &self.seen[place];
        (seen, self.parsers[place].args(&input[seen.at..]))
    }

    /// The time by which the commands of the window that are brief are run: read once for all of them.
    #[inline]
    pub(super) fn now_ms(&mut self, node: &Node) -> u64 {
        if self.now_ms == 0 {
            self.now_ms = node.clock.now_coarse_ms();
        }
        self.now_ms
    }

    /// A command took its time.
    pub(super) fn time_passed(&mut self) {
        self.now_ms = 0;
    }

    /// Up to where the input need not be kept.
    pub(super) fn done(&self) -> usize {
        match self.next.checked_sub(1) {
            Some(last) if self.next < self.seen.len() => self.seen[last].end,
            _ => self.end,
        }
    }

    /// What follows the command that just ran was taken apart under other limits, the beginning of one whose end is not
    /// there yet included: that is done again.
    pub(super) fn forget_rest(&mut self) {
        self.end = self.done();
        self.parsers.clear();
        self.partial = None;
        self.seen.clear();
        self.next = 0;
    }

    /// How long the input must at least get before there can be another command; 0 when that is not known.
    pub(super) fn needed(&self) -> usize {
        self.partial.and_then(|place| self.parsers.get(place)).map_or(0, Parser::needed)
    }

    /// Gives memory back while nothing is under way.
    pub(super) fn shrink(&mut self) {
        if self.partial.is_none() {
            *self = Ahead::default();
        }
    }

    fn look(&mut self, node: &Node, db: u8, input: &[u8], limits: &Limits) -> Result<(), ProtocolError> {
        // What a stranger sends after it gave the password has other limits.
        let window = if limits.authenticated { WINDOW } else { 1 };
        self.seen.clear();
        self.next = 0;
        if let Some(partial) = self.partial.take() {
            self.parsers.swap(0, partial);
        }
        while self.end < input.len() && self.seen.len() < window {
            let place = self.seen.len();
            if self.parsers.len() == place {
                if place == 0 {
                    // Whoever does not pipeline needs one, and not the four that a first push makes room for.
                    self.parsers.reserve_exact(1);
                    self.seen.reserve_exact(1);
                }
                self.parsers.push(Parser::new());
            }
            let (at, rest) = (self.end, &input[self.end..]);
            match self.parsers[place].advance(rest, limits) {
                Ok(Parsed::Command { consumed }) => {
                    self.end += consumed;
                    let args = self.parsers[place].args(rest);
                    let row = exec::find(args).ok();
                    let is_brief = row.is_some_and(|row| {
                        row.spec.flags.contains(Flags::FAST) && matches!(row.spec.keys, Keys::ONE)
                    });
                    let known = row.and_then(|row| first_key(row, args)).map_or(Known::default(), |key| {
                        let known = Known::of(node, db, key);
                        node.cache.section().prefetch(&known.id);
                        known
                    });
                    self.seen.push(Seen { at, end: self.end, row, known, is_brief });
                }
                Ok(Parsed::Empty { consumed }) => self.end += consumed,
                Ok(Parsed::Incomplete) => {
                    self.partial = Some(place);
                    break;
                }
                // Said when its turn comes.
                Err(_) if place > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn first_key<'a>(row: &Command, args: Args<'a>) -> Option<&'a [u8]> {
    match row.spec.keys {
        Keys::Range { first, .. } => args.get(usize::from(first)),
        Keys::None | Keys::NumKeys(_) => None,
    }
}
