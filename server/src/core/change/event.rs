//! What can happen to a key, in the words and classes of Redis's `notify-keyspace-events`.

/// Something that happened to a key. Redis's documentation of each command names its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// The event's name, as it stands in the channel.
    pub name: &'static str,
    /// The class that it belongs to.
    pub class: Classes,
}

impl KeyEvent {
    /// `del` of DEL, UNLINK, GETDEL, and of whatever empties a hash or a set.
    pub const DEL: KeyEvent = KeyEvent::generic("del");
    /// `expire` of all that sets a deadline.
    pub const EXPIRE: KeyEvent = KeyEvent::generic("expire");
    /// `persist`.
    pub const PERSIST: KeyEvent = KeyEvent::generic("persist");
    /// `set` of SET and its family.
    pub const SET: KeyEvent = KeyEvent::string("set");
    /// `expired`: the node found the key past its deadline.
    pub const EXPIRED: KeyEvent = KeyEvent { name: "expired", class: Classes(1 << 8) };
    /// `evicted`: dropped for want of room.
    pub const EVICTED: KeyEvent = KeyEvent { name: "evicted", class: Classes(1 << 9) };
    /// `keymiss`: a read found nothing.
    pub const KEY_MISS: KeyEvent = KeyEvent { name: "keymiss", class: Classes(1 << 11) };
    /// `new`: a key came to be.
    pub const NEW: KeyEvent = KeyEvent { name: "new", class: Classes(1 << 14) };
    /// A change that publishes nothing by itself, because the caller names its events with `happened`.
    pub const SILENT: KeyEvent = KeyEvent { name: "", class: Classes::NONE };

    /// An event of any type of key (`g`): `rename_from`, `rename_to`, `copy_to`, ...
    pub const fn generic(name: &'static str) -> KeyEvent {
        KeyEvent { name, class: Classes(1 << 2) }
    }

    /// An event of strings (`$`): `append`, `incrby`, `setrange`, ...
    pub const fn string(name: &'static str) -> KeyEvent {
        KeyEvent { name, class: Classes(1 << 3) }
    }

    /// An event of sets (`s`): `sadd`, `srem`, ...
    pub const fn set(name: &'static str) -> KeyEvent {
        KeyEvent { name, class: Classes(1 << 5) }
    }

    /// An event of hashes (`h`): `hset`, `hdel`, `hincrby`, ...
    pub const fn hash(name: &'static str) -> KeyEvent {
        KeyEvent { name, class: Classes(1 << 6) }
    }

    /// An event of sorted sets (`z`): `zadd`, `zrem`, ...
    pub const fn zset(name: &'static str) -> KeyEvent {
        KeyEvent { name, class: Classes(1 << 7) }
    }
}

/// Classes of events, as `notify-keyspace-events` names them by letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(pub(super) u32);

/// Letters and bits, in the order in which Redis shows them; `m` and `n` are not among `A`.
const LETTERS: [(char, u32); 14] = [
    ('g', 1 << 2),
    ('$', 1 << 3),
    ('l', 1 << 4),
    ('s', 1 << 5),
    ('h', 1 << 6),
    ('z', 1 << 7),
    ('x', 1 << 8),
    ('e', 1 << 9),
    ('t', 1 << 10),
    ('d', 1 << 13),
    ('n', 1 << 14),
    ('K', 1),
    ('E', 1 << 1),
    ('m', 1 << 11),
];

impl Classes {
    /// None at all.
    pub const NONE: Classes = Classes(0);
    /// Channels named after keys.
    pub const KEYSPACE: Classes = Classes(1);
    /// Channels named after events.
    pub const KEYEVENT: Classes = Classes(1 << 1);
    /// What `A` stands for.
    const ALL: u32 =
        1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 13;

    /// Reads the letters of the option; none where one is unknown.
    pub fn parse(text: &str) -> Option<Classes> {
        let mut bits = 0;
        for letter in text.chars() {
            bits |= match letter {
                'A' => Self::ALL,
                other => LETTERS.iter().find(|(known, _)| *known == other)?.1,
            };
        }
        Some(Classes(bits))
    }

    /// True if one of these classes is among ours; never for [`Classes::NONE`].
    pub fn contains(self, other: Classes) -> bool {
        self.0 & other.0 != 0
    }

    /// True where nothing can be published: no class, or neither kind of channel.
    pub fn is_silent(self) -> bool {
        let channels = Self::KEYSPACE.0 | Self::KEYEVENT.0;
        self.0 & channels == 0 || self.0 & !channels == 0
    }
}

/// As CONFIG GET shows them: the letters in a fixed order, `A` where all of it is set.
impl std::fmt::Display for Classes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.0 & Self::ALL == Self::ALL;
        if all {
            f.write_str("A")?;
        }
        // Redis says nothing of `n` beside `A`.
        let shown = |bit: u32| self.0 & bit != 0 && !(all && (Self::ALL | 1 << 14) & bit != 0);
        LETTERS.iter().filter(|(_, bit)| shown(*bit)).try_for_each(|(letter, _)| write!(f, "{letter}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Spring reads back what it set and compares letters: the order is Redis's, and `A` swallows its own.
    #[test]
    fn the_letters_are_shown_as_redis_shows_them() {
        let shown = |text: &str| Classes::parse(text).unwrap().to_string();
        for (given, wanted) in [
            ("Egx", "gxE"),
            ("", ""),
            ("KEA", "AKE"),
            ("KA", "AK"),
            ("AKEm", "AKEm"),
            ("AKEn", "AKE"),
            ("KEng", "gnKE"),
            ("g$lshzxetdKE", "AKE"),
        ] {
            assert_eq!(shown(given), wanted);
        }
        assert!(Classes::parse("Ey").is_none());
        assert!(Classes::parse("g$x").unwrap().is_silent() && Classes::parse("KE").unwrap().is_silent());
        assert!(!Classes::parse("Ex").unwrap().is_silent());
        assert!(!Classes::parse("KEA").unwrap().contains(KeyEvent::SILENT.class));
    }
}
