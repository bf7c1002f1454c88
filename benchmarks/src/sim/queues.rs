//! The plain policies: FIFO, LRU, CLOCK, SIEVE. Written from their definitions, to compare with.

use super::Model;
use super::lists::Lists;
use super::trace::Request;

/// First in, first out.
pub struct Fifo {
    list: Lists<1>,
    used: usize,
    room: usize,
    size: fn(u32) -> usize,
}

impl Fifo {
    /// A cache of `room` of `keys` keys.
    pub fn new(keys: u32, room: usize) -> Fifo {
        Fifo::sized(keys, room, |_| 1)
    }

    /// A cache of `room` blocks, of which a key takes `size`.
    pub fn sized(keys: u32, room: usize, size: fn(u32) -> usize) -> Fifo {
        Fifo { list: Lists::new(keys), used: 0, room, size }
    }
}

impl Model for Fifo {
    fn request(&mut self, _at: usize, request: &Request) -> bool {
        if self.list.of(request.key).is_some() {
            return true;
        }
        self.used += (self.size)(request.key);
        while self.used > self.room {
            let Some(oldest) = self.list.pop(0) else { break };
            self.used -= (self.size)(oldest);
        }
        self.list.to_front(0, request.key);
        false
    }

    fn remove(&mut self, request: &Request) {
        if self.list.take(request.key).is_some() {
            self.used -= (self.size)(request.key);
        }
    }
}

/// Least recently used, exactly.
pub struct Lru(Fifo);

impl Lru {
    /// A cache of `room` of `keys` keys.
    pub fn new(keys: u32, room: usize) -> Lru {
        Lru(Fifo::new(keys, room))
    }

    /// A cache of `room` blocks, of which a key takes `size`.
    pub fn sized(keys: u32, room: usize, size: fn(u32) -> usize) -> Lru {
        Lru(Fifo::sized(keys, room, size))
    }
}

impl Model for Lru {
    fn request(&mut self, at: usize, request: &Request) -> bool {
        let hit = self.0.request(at, request);
        self.0.list.to_front(0, request.key);
        hit
    }

    fn remove(&mut self, request: &Request) {
        self.0.remove(request);
    }
}

/// Second chance (Corbató 1968): the oldest goes, unless it was read since it was last considered.
pub struct Clock {
    list: Lists<1>,
    read: Vec<bool>,
    room: usize,
}

impl Clock {
    /// A cache of `room` of `keys` keys.
    pub fn new(keys: u32, room: usize) -> Clock {
        Clock { list: Lists::new(keys), read: vec![false; keys as usize], room }
    }
}

impl Model for Clock {
    fn request(&mut self, _at: usize, request: &Request) -> bool {
        if self.list.of(request.key).is_some() {
            self.read[request.key as usize] = true;
            return true;
        }
        while self.list.len(0) == self.room {
            let Some(oldest) = self.list.pop(0) else { break };
            if std::mem::take(&mut self.read[oldest as usize]) {
                self.list.to_front(0, oldest);
            }
        }
        self.list.to_front(0, request.key);
        self.read[request.key as usize] = false;
        false
    }

    fn remove(&mut self, request: &Request) {
        self.list.take(request.key);
    }
}

/// SIEVE (Zhang et al., NSDI 2024): as CLOCK, but who is spared stays where it is, and newcomers come in front.
pub struct Sieve {
    list: Lists<1>,
    read: Vec<bool>,
    hand: Option<u32>,
    room: usize,
}

impl Sieve {
    /// A cache of `room` of `keys` keys.
    pub fn new(keys: u32, room: usize) -> Sieve {
        Sieve { list: Lists::new(keys), read: vec![false; keys as usize], hand: None, room }
    }

    fn evict(&mut self) {
        let Some(mut at) = self.hand.or(self.list.last(0)) else { return };
        while std::mem::take(&mut self.read[at as usize]) {
            match self.list.before(at).or(self.list.last(0)) {
                Some(before) => at = before,
                None => return,
            }
        }
        self.hand = self.list.before(at);
        self.list.take(at);
    }
}

impl Model for Sieve {
    fn request(&mut self, _at: usize, request: &Request) -> bool {
        if self.list.of(request.key).is_some() {
            self.read[request.key as usize] = true;
            return true;
        }
        if self.list.len(0) == self.room {
            self.evict();
        }
        self.list.to_front(0, request.key);
        self.read[request.key as usize] = false;
        false
    }

    fn remove(&mut self, request: &Request) {
        if self.hand == Some(request.key) {
            self.hand = self.list.before(request.key);
        }
        self.list.take(request.key);
    }
}
