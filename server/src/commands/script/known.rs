//! Which scripts are known, and how one is recognised.
//!
//! This server runs no Lua. Session libraries and lock libraries send a small set of scripts, though, and each
//! of those is a program here ([`Known`]). A script is recognised by the SHA1 of its words: comments, white
//! space, the kind of quotes and the case of a command's name do not matter, anything else does. What is not
//! recognised is refused before anything of it ran.

use crate::commands::Stop;
use crate::commands::script::native;
use crate::commands::script::native::{Run, Value};
use parking_lot::RwLock;
use sha1::{Digest, Sha1};
use std::collections::HashMap;

/// The SHA1 of a script, as SCRIPT LOAD answers it.
pub type Hash = [u8; 20];

/// A script this server can do.
pub struct Known {
    /// Whose it is: shown in documents and tests.
    pub from: &'static str,
    /// SHA1 of its words, see [`words`].
    words: &'static str,
    /// SHA1 of its text as those libraries send it: EVALSHA of it works at once.
    texts: &'static [&'static str],
    /// What it does.
    pub run: fn(&mut Run<'_, '_>) -> Result<Value, Stop>,
}

/// Every script there is.
pub static KNOWN: &[Known] = &[
    Known {
        from: "phpredis session lock, Laravel lock release",
        words: "6b9c145655e77a8ed46ac2cbfddae4f3a0525b85",
        texts: &["b70c2384248f88e6b75b9f89241a180f856ad852", "647c65a442733a1aa440f99908d249d13b4d6c4a"],
        run: native::delete_if_equal,
    },
    Known {
        from: "redis-py lock release",
        words: "69943e798fbff551a9eb7fd44bd115fb2dca2775",
        texts: &["c3f8721cbb97f72bc19e972846bd7aaf91901658"],
        run: native::delete_if_equal,
    },
    Known {
        from: "redis-py lock extend",
        words: "6c46816c4a0fd8583cd623cbef16de027651ea4c",
        texts: &["a4e8783852e6b949f9ef3a97212805108459a890"],
        run: native::extend_or_add,
    },
    Known {
        from: "redis-py lock reacquire",
        words: "17dacdcb17e36e063d99e789f06127cb37281798",
        texts: &["1cac51482acf5858da00f6d685d68f886cd6b6b2"],
        run: native::reacquire,
    },
    Known {
        from: "compare and PEXPIRE (Redlock implementations)",
        words: "76dd726887f26ccce2283e87c8bc8e39b9e3ab4d",
        texts: &["36e94d1c6e02fcefaa7ee5d79eee614dbac55f10"],
        run: native::pexpire_if_equal,
    },
    Known {
        from: "Laravel lock refresh",
        words: "8bac23ae92e6da4cf2f7f4898e606b809f428c9a",
        texts: &["57486f22cb7668ecfab9f6e275419892fa3c4018"],
        run: native::expire_if_equal,
    },
    Known {
        from: "Laravel cache add",
        words: "01b05c6bf89c7d7be88a5abac8291672d3648b37",
        texts: &["a08c9c69b7c07ae2485190873b90d128a23e502d"],
        run: native::add,
    },
    Known {
        from: "redlock (Node.js) lock",
        words: "40dd95cc0614bba527df5b35433ace340621992d",
        texts: &["e5a322e2634ef59a516e8ea150cb085afafee684", "96da70f7716f27d278a5218544df37fd8b0a5e4c"],
        run: native::lock_all,
    },
    Known {
        from: "redlock (Node.js) extend",
        words: "116fdbe8b95718d879859368d2d43cd052c9ac18",
        texts: &["ce46f80993d5dac20dd066eb301a4e37994bdbed", "aed6f382e410db8ba7926d4e5e9aab410bf2a78a"],
        run: native::extend_all,
    },
    Known {
        from: "redlock (Node.js) unlock",
        words: "1f020aba4193339587ca7642307c2d196aac88fe",
        texts: &["0f0f23b9048b36752b5be114f357ba083449f908", "e4612211c9f8f51c257e26e056b0a654b3187242"],
        run: native::unlock_all,
    },
    Known {
        from: "django-redis incr",
        words: "bb80ffb0c49595b5597a7846e97c54f693a8c151",
        texts: &[],
        run: native::increment_existing,
    },
    Known {
        from: "django-redis incr of a version",
        words: "79d5e0e8b55197c9609e386648162577d72f98c4",
        texts: &[],
        run: native::increment,
    },
    Known {
        from: "ASP.NET Core distributed cache",
        words: "a24c2a8e50377e8804aa882ee67eaf829fc1b90c",
        texts: &[],
        run: native::store_fields,
    },
    Known {
        from: "ASP.NET Core distributed cache, older servers",
        words: "f94503629f50767347cf64d89831825e8267fe00",
        texts: &[],
        run: native::store_fields,
    },
    Known {
        from: "Redisson's question whether two keys share a slot",
        words: "49e81634203504e158cbc151f60590de9fcee3af",
        texts: &["c83614392e5cf2f559c54d1b4f3acf8d78d6fbb6"],
        run: native::read_two,
    },
    Known {
        from: "a client's question whether scripts run at all (`return 1`)",
        words: "e0e1f9fabfc9d4800c877a703b823ac0578ff8db",
        texts: &["e0e1f9fabfc9d4800c877a703b823ac0578ff8db"],
        run: native::one,
    },
];

/// Texts that were sent in other spellings and are remembered by their SHA1, at most.
const REMEMBERED_MAX: usize = 1024;

/// The scripts that EVALSHA finds: those known by their text, and those that were sent.
#[derive(Default)]
pub struct Scripts {
    sent: RwLock<HashMap<Hash, &'static Known>>,
}

impl Scripts {
    /// Recognises a script and remembers its text; none if it is not known.
    pub fn load(&self, text: &[u8]) -> Option<(Hash, &'static Known)> {
        let hash = sha1(text);
        let known = self.find(&hash).or_else(|| recognise(text))?;
        let mut sent = self.sent.write();
        // Beyond the bound EVALSHA answers NOSCRIPT, upon which clients send the text.
        if sent.len() < REMEMBERED_MAX {
            sent.insert(hash, known);
        }
        Some((hash, known))
    }

    /// The script with this SHA1.
    pub fn find(&self, hash: &Hash) -> Option<&'static Known> {
        let seeded = || {
            KNOWN
                .iter()
                .find(|known| known.texts.iter().any(|text| unhex(text.as_bytes()).as_ref() == Some(hash)))
        };
        self.sent.read().get(hash).copied().or_else(seeded)
    }

    /// Forgets what was sent.
    pub fn flush(&self) {
        self.sent.write().clear();
    }
}

/// SHA1 of some bytes.
pub fn sha1(bytes: &[u8]) -> Hash {
    Sha1::digest(bytes).into()
}

/// The hash that forty hexadecimal digits spell.
pub fn unhex(digits: &[u8]) -> Option<Hash> {
    let mut hash = [0; 20];
    if digits.len() != 40 {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        let text = std::str::from_utf8(pair).ok().filter(|text| !text.starts_with('+'))?;
        *byte = u8::from_str_radix(text, 16).ok()?;
    }
    Some(hash)
}

/// A hash as forty hexadecimal digits.
pub fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn recognise(text: &[u8]) -> Option<&'static Known> {
    let found = hex(&sha1(&words(text)));
    KNOWN.iter().find(|known| known.words == found)
}

/// The words of a script with one space between them.
fn words(text: &[u8]) -> Vec<u8> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.first() {
        let name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let len = match first {
            byte if byte.is_ascii_whitespace() => {
                rest = &rest[1..];
                continue;
            }
            b'-' if rest.starts_with(b"--") => {
                let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                rest = &rest[end..];
                continue;
            }
            quote @ (b'"' | b'\'') => {
                let inner = rest[1..].iter().position(|byte| byte == quote).unwrap_or(rest.len() - 1);
                let mut word = rest[1..1 + inner].to_vec();
                if names_a_command(&words) {
                    word.make_ascii_lowercase();
                }
                words.push([b"\"", word.as_slice(), b"\""].concat());
                rest = rest.get(inner + 2..).unwrap_or_default();
                continue;
            }
            byte if name(byte) => rest.iter().position(|byte| !name(byte)).unwrap_or(rest.len()),
            _ => 1,
        };
        words.push(rest[..len].to_vec());
        rest = &rest[len..];
    }
    words.join(&b' ')
}

/// True after `redis.call(`, where the name of a command follows.
fn names_a_command(words: &[Vec<u8>]) -> bool {
    let Some([redis, dot, call, open]) = words.last_chunk() else {
        return false;
    };
    redis == b"redis" && dot == b"." && (call == b"call" || call == b"pcall") && open == b"("
}

#[cfg(test)]
mod tests {
    use super::*;

    // A library that reformats its script, or quotes otherwise, is still understood; one that does something
    // else is not.
    #[test]
    fn spelling_does_not_matter_and_meaning_does() {
        let scripts = Scripts::default();
        let usual = br#"if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end"#;
        let spread = b"-- ours?\nif redis.call('GET', KEYS[1]) == ARGV[1] then\n\treturn redis.call('Del', KEYS[1])\nelse return 0 end";
        let (_, a) = scripts.load(usual).expect("known");
        let (hash, b) = scripts.load(spread).expect("known in another spelling");
        assert_eq!(a.from, b.from);
        assert_eq!(scripts.find(&hash).map(|known| known.from), Some(a.from));
        scripts.flush();
        assert!(scripts.find(&hash).is_none(), "a flush forgets what was sent");
        assert!(scripts.find(&sha1(usual)).is_some(), "what libraries send stays known");
        let other = br#"if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[2]) else return 0 end"#;
        assert!(scripts.load(other).is_none());
        let upper = br#"if redis.call("get",KEYS[1]) == argv[1] then return redis.call("del",KEYS[1]) else return 0 end"#;
        assert!(scripts.load(upper).is_none(), "names have their case");
    }

    // Garbage from the network is no script and no panic.
    #[test]
    fn unfinished_texts_end() {
        for text in [&b"'"[..], b"\"abc", b"--", b"redis.call('", b"\xff\xfe", b""] {
            assert!(Scripts::default().load(text).is_none());
        }
        assert_eq!(unhex(b"zz"), None);
        assert_eq!(unhex(&[b'+'; 40]), None);
        assert_eq!(unhex(hex(&[7; 20]).as_bytes()), Some([7; 20]));
    }

    // Each row's hashes are hashes, and no two rows claim the same script.
    #[test]
    fn rows_are_sound() {
        let mut all: Vec<&str> = KNOWN.iter().map(|known| known.words).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), KNOWN.len());
        let texts = KNOWN.iter().flat_map(|known| known.texts);
        assert!(all.iter().chain(texts).all(|hash| unhex(hash.as_bytes()).is_some()));
    }
}
