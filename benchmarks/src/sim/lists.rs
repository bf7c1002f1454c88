//! Doubly linked lists over keys: each key is in one list or in none.

const NONE: u32 = u32::MAX;
const NOWHERE: u8 = u8::MAX;

/// `LISTS` lists of keys below a bound; every step is O(1).
pub struct Lists<const LISTS: usize> {
    next: Vec<u32>,
    prev: Vec<u32>,
    place: Vec<u8>,
    head: [u32; LISTS],
    tail: [u32; LISTS],
    len: [usize; LISTS],
}

impl<const LISTS: usize> Lists<LISTS> {
    /// Empty lists for keys below `keys`.
    pub fn new(keys: u32) -> Self {
        let n = keys as usize;
        Lists {
            next: vec![NONE; n],
            prev: vec![NONE; n],
            place: vec![NOWHERE; n],
            head: [NONE; LISTS],
            tail: [NONE; LISTS],
            len: [0; LISTS],
        }
    }

    /// The list that a key is in.
    pub fn of(&self, key: u32) -> Option<usize> {
        let place = self.place[key as usize];
        (place != NOWHERE).then_some(usize::from(place))
    }

    /// Keys in a list.
    pub fn len(&self, list: usize) -> usize {
        self.len[list]
    }

    /// True if a list has none.
    pub fn is_empty(&self, list: usize) -> bool {
        self.len[list] == 0
    }

    /// The key that came to the front of a list the longest ago.
    pub fn last(&self, list: usize) -> Option<u32> {
        let key = self.tail[list];
        (key != NONE).then_some(key)
    }

    /// The next key towards the front.
    pub fn before(&self, key: u32) -> Option<u32> {
        let key = self.prev[key as usize];
        (key != NONE).then_some(key)
    }

    /// Puts a key, from wherever it is, to the front of a list.
    pub fn to_front(&mut self, list: usize, key: u32) {
        self.take(key);
        let k = key as usize;
        let old = self.head[list];
        self.next[k] = old;
        self.prev[k] = NONE;
        if old == NONE {
            self.tail[list] = key;
        } else {
            self.prev[old as usize] = key;
        }
        self.head[list] = key;
        self.place[k] = list as u8;
        self.len[list] += 1;
    }

    /// Takes a key out of its list, if it is in one.
    pub fn take(&mut self, key: u32) -> Option<usize> {
        let list = self.of(key)?;
        let (prev, next) = (self.prev[key as usize], self.next[key as usize]);
        if prev == NONE {
            self.head[list] = next;
        } else {
            self.next[prev as usize] = next;
        }
        if next == NONE {
            self.tail[list] = prev;
        } else {
            self.prev[next as usize] = prev;
        }
        self.place[key as usize] = NOWHERE;
        self.len[list] -= 1;
        Some(list)
    }

    /// Takes the last key of a list out.
    pub fn pop(&mut self, list: usize) -> Option<u32> {
        let key = self.last(list)?;
        self.take(key);
        Some(key)
    }
}
