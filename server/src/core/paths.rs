//! Session paths: named sets of keys with policies of their own. A key belongs to the path with the longest
//! prefix that it starts with; a path without a prefix is the default.

use std::time::Duration;

/// The policies of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPath {
    /// The path's name; its topics are channels `<name>/...`.
    pub name: String,
    /// Keys that start with this belong to the path.
    pub prefix: Vec<u8>,
    /// For how long a destroyed key refuses new writes; none where a write after a delete is a new object.
    pub gone_for: Option<Duration>,
    /// Copies kept of each session, 1 or 2.
    pub copies: u8,
    /// How long a key that no tier has waits for an external answer; none where nobody outside is believed.
    pub external_wait: Option<Duration>,
}

/// The paths of one node.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Longest prefix first; the default path last.
    list: Vec<SessionPath>,
}

impl Paths {
    /// Orders the paths for look-up. Where none is the default, one named `auths` is added.
    pub fn new(mut list: Vec<SessionPath>) -> Paths {
        if list.iter().all(|path| !path.prefix.is_empty()) {
            list.push(SessionPath {
                name: "auths".into(),
                prefix: Vec::new(),
                gone_for: None,
                copies: 1,
                external_wait: None,
            });
        }
        list.sort_by_key(|path| std::cmp::Reverse(path.prefix.len()));
        Paths { list }
    }

    /// The path of a key.
    pub fn of(&self, key: &[u8]) -> &SessionPath {
        // The default path's empty prefix matches every key and stands last. It is not compared: comparing nothing
        // calls the C library, which some processors answer with a trap to microcode, a tenth of a SET.
        let last = self.list.len() - 1;
        self.list[..last].iter().find(|path| key.starts_with(&path.prefix)).unwrap_or(&self.list[last])
    }

    /// All paths, longest prefix first.
    pub fn iter(&self) -> impl Iterator<Item = &SessionPath> {
        self.list.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key under two prefixes belongs to the longer one; one under none to the default.
    #[test]
    fn the_longest_prefix_wins() {
        let path = |name: &str, prefix: &str| SessionPath {
            name: name.into(),
            prefix: prefix.into(),
            gone_for: None,
            copies: 1,
            external_wait: None,
        };
        let paths = Paths::new(vec![path("s", "sess:"), path("admin", "sess:admin:")]);
        assert_eq!(paths.of(b"sess:admin:1").name, "admin");
        assert_eq!(paths.of(b"sess:1").name, "s");
        assert_eq!(paths.of(b"x").name, "auths");
    }
}
