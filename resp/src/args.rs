//! The words of one command: spans over the bytes they came in.

use std::ops::Index;

/// Where one word lies in its buffer. 32 bits each: a request is bounded far below 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl Span {
    fn of(self, buf: &[u8]) -> &[u8] {
        let start = self.start as usize;
        &buf[start..start + self.len as usize]
    }
}

/// A command's words, borrowed; the first is its name. Copying it copies two slices, never bytes.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    buf: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    pub(crate) fn new(buf: &'a [u8], spans: &'a [Span]) -> Self {
        Args { buf, spans }
    }

    /// How many words, the name included.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no word at all.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The word at `i`, or none.
    pub fn get(&self, i: usize) -> Option<&'a [u8]> {
        self.spans.get(i).map(|span| span.of(self.buf))
    }

    /// The word at `i`, living as long as the buffer (indexing with `[]` borrows from this value instead).
    ///
    /// # Panics
    /// When there is no such word; a handler may rely on the arity that was checked before it ran.
    #[track_caller]
    pub fn at(&self, i: usize) -> &'a [u8] {
        self.spans[i].of(self.buf)
    }

    /// The first word, or nothing when there is none.
    pub fn name(&self) -> &'a [u8] {
        self.get(0).unwrap_or_default()
    }

    /// Every word in order.
    pub fn iter(&self) -> ArgsIter<'a> {
        ArgsIter { args: *self }
    }

    /// The words without the first `n`; empty when there are fewer.
    pub fn skip(&self, n: usize) -> Args<'a> {
        Args { buf: self.buf, spans: self.spans.get(n..).unwrap_or_default() }
    }

    /// The first `n` words; all when there are fewer.
    pub fn take(&self, n: usize) -> Args<'a> {
        Args { buf: self.buf, spans: self.spans.get(..n).unwrap_or(self.spans) }
    }

    /// Whether the word at `i` exists and equals `word`, ASCII case aside: how options are compared.
    pub fn is(&self, i: usize, word: &str) -> bool {
        self.get(i).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// The bytes of all words together, headers not counted.
    pub fn payload_bytes(&self) -> usize {
        self.spans.iter().map(|span| span.len as usize).sum()
    }

    /// A copy that outlives the read buffer.
    pub fn to_owned(&self) -> OwnedArgs {
        OwnedArgs::from(*self)
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    #[track_caller]
    fn index(&self, i: usize) -> &[u8] {
        self.at(i)
    }
}

impl std::fmt::Debug for Args<'_> {
    /// Lengths only: words hold session data and passwords, which must not reach a log by accident.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.spans.iter().map(|span| span.len)).finish()
    }
}

impl<'a> IntoIterator for Args<'a> {
    type Item = &'a [u8];
    type IntoIter = ArgsIter<'a>;

    fn into_iter(self) -> ArgsIter<'a> {
        self.iter()
    }
}

/// Walks the words of an [`Args`].
#[derive(Clone)]
pub struct ArgsIter<'a> {
    args: Args<'a>,
}

impl<'a> ArgsIter<'a> {
    /// The words not yet walked.
    pub fn rest(&self) -> Args<'a> {
        self.args
    }
}

impl<'a> Iterator for ArgsIter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (first, rest) = self.args.spans.split_first()?;
        self.args.spans = rest;
        Some(first.of(self.args.buf))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.args.len(), Some(self.args.len()))
    }
}

impl<'a> DoubleEndedIterator for ArgsIter<'a> {
    fn next_back(&mut self) -> Option<&'a [u8]> {
        let (last, rest) = self.args.spans.split_last()?;
        self.args.spans = rest;
        Some(last.of(self.args.buf))
    }
}

impl ExactSizeIterator for ArgsIter<'_> {}

/// A command kept for later, as MULTI does: one allocation for the bytes, one for the spans.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedArgs {
    /// The words, borrowed.
    pub fn as_args(&self) -> Args<'_> {
        Args { buf: &self.bytes, spans: &self.spans }
    }

    /// Puts one more word at the end.
    ///
    /// # Panics
    /// When the words together pass 4 GiB; parsed requests are bounded far below.
    pub fn push(&mut self, word: &[u8]) {
        let span = |n: usize| u32::try_from(n).expect("a command stays below 4 GiB");
        self.spans.push(Span { start: span(self.bytes.len()), len: span(word.len()) });
        let _end_fits = span(self.bytes.len() + word.len());
        self.bytes.extend_from_slice(word);
    }

    /// How many bytes of memory this command holds on to: what a queue of them should be charged.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity() + self.spans.capacity() * size_of::<Span>()
    }
}

impl From<Args<'_>> for OwnedArgs {
    fn from(args: Args<'_>) -> Self {
        let mut owned = OwnedArgs {
            bytes: Vec::with_capacity(args.payload_bytes()),
            spans: Vec::with_capacity(args.len()),
        };
        owned.extend(args);
        owned
    }
}

impl<W: AsRef<[u8]>> Extend<W> for OwnedArgs {
    fn extend<I: IntoIterator<Item = W>>(&mut self, words: I) {
        words.into_iter().for_each(|word| self.push(word.as_ref()));
    }
}

impl<W: AsRef<[u8]>> FromIterator<W> for OwnedArgs {
    fn from_iter<I: IntoIterator<Item = W>>(words: I) -> Self {
        let mut owned = OwnedArgs::default();
        owned.extend(words);
        owned
    }
}

impl std::fmt::Debug for OwnedArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_args().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queued_command_keeps_its_words_after_the_buffer_is_gone() {
        let words: [&[u8]; 3] = [b"SET", b"", b"\0\r\n"];
        let owned = OwnedArgs::from_iter(words);
        let copy = OwnedArgs::from(owned.as_args());
        drop(owned);
        assert_eq!(copy.as_args().iter().collect::<Vec<_>>(), words);
        assert_eq!(copy.as_args().name(), b"SET");
        assert!(copy.as_args().is(0, "set") && !copy.as_args().is(3, "set"));
    }

    #[test]
    fn skipping_past_the_end_is_empty_not_a_panic() {
        let owned = OwnedArgs::from_iter(["a", "b"]);
        assert!(owned.as_args().skip(3).is_empty());
        assert_eq!(owned.as_args().skip(1).name(), b"b");
        assert_eq!(owned.as_args().take(9).len(), 2);
        assert_eq!(OwnedArgs::default().as_args().name(), b"");
        assert_eq!(owned.as_args().iter().next_back(), Some(&b"b"[..]));
    }

    #[test]
    fn words_never_reach_a_log() {
        let owned = OwnedArgs::from_iter(["AUTH", "secret"]);
        assert_eq!(format!("{owned:?}"), "[4, 6]");
    }
}
