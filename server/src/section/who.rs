//! Which processes have a shared-memory object mapped, as far as this user may see, and in huge pages or not.
//!
//! A lock on a byte says that someone is there and not who: the kernel gives no pid for such locks. Mappings do.

use std::fs;

/// What /proc tells about the users of an object.
#[derive(Default, Debug)]
pub(super) struct Users {
    /// Processes that map it, this one aside.
    pub(super) pids: Vec<u32>,
    /// Most bytes that one of them has in huge pages.
    pub(super) huge_bytes: u64,
}

/// Asks /proc about an object.
pub(super) fn users(shm: &str) -> Users {
    let mut users = Users::default();
    let path = format!("/dev/shm/{shm}");
    let Ok(entries) = fs::read_dir("/proc") else {
        return users;
    };
    for entry in entries.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(pid) = pid.filter(|pid| *pid != std::process::id()) else {
            continue;
        };
        // Other users' processes are not ours to read.
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        if !maps.lines().any(|line| names(line, &path)) {
            continue;
        }
        users.pids.push(pid);
        let smaps = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap_or_default();
        users.huge_bytes = users.huge_bytes.max(huge_bytes(&smaps, &path));
    }
    users.pids.sort_unstable();
    users
}

fn names(line: &str, path: &str) -> bool {
    line.split_ascii_whitespace().nth(5) == Some(path)
}

/// Bytes of the object that one mapping of it has in huge pages: the most, for a process that maps it twice shows the same
/// memory twice. What the kernel cut in two is one mapping if the pieces lie end to end, in memory and in the object.
fn huge_bytes(smaps: &str, path: &str) -> u64 {
    let (mut most, mut sum, mut inside, mut goes_on) = (0, 0, false, None);
    for line in smaps.lines() {
        let field = line.split_ascii_whitespace().next().unwrap_or_default();
        if let Some(piece) = Piece::of(line) {
            inside = names(line, path);
            sum = if inside && goes_on == Some((piece.from, piece.offset)) { sum } else { 0 };
            goes_on = inside.then_some((piece.to, piece.offset + (piece.to - piece.from)));
        } else if inside && field == "ShmemPmdMapped:" {
            let kib = line.split_ascii_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok());
            sum += kib.unwrap_or(0) << 10;
            most = most.max(sum);
        }
    }
    most
}

/// Where a piece of a mapping lies.
struct Piece {
    from: u64,
    to: u64,
    offset: u64,
}

impl Piece {
    fn of(line: &str) -> Option<Piece> {
        let mut fields = line.split_ascii_whitespace();
        let (from, to) = fields.next()?.split_once('-')?;
        let [from, to, offset] = [from, to, fields.nth(1)?].map(|hex| u64::from_str_radix(hex, 16));
        Some(Piece { from: from.ok()?, to: to.ok()?, offset: offset.ok()? })
            .filter(|piece| piece.from <= piece.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The figure of the object's own mapping counts: not a neighbour's, not twice, and whole if it was cut.
    #[test]
    fn huge_pages_are_those_of_the_object() {
        let smaps = "7f00-7f10 rw-s 00000000 00:1a 5 /dev/shm/gs-b\nRss: 9 kB\nShmemPmdMapped:  9999 kB\n\
                     7f20-7f30 rw-s 00000000 00:1a 6 /dev/shm/gs-a\nRss: 9 kB\nShmemPmdMapped:  2048 kB\n\
                     7f40-7f50 rw-p 00000000 00:00 0\nShmemPmdMapped:  77 kB\n";
        assert_eq!(huge_bytes(smaps, "/dev/shm/gs-a"), 2048 << 10);
        assert_eq!(huge_bytes(smaps, "/dev/shm/gs-c"), 0);
        let line = |range: &str, offset: &str, mib: u64| {
            format!("{range} rw-s {offset} 00:1a 6 /dev/shm/gs-a\nShmemPmdMapped: {} kB\n", mib << 10)
        };
        let cut = line("7f00-7f10", "00000000", 2) + &line("7f10-7f20", "00000010", 4);
        // The kernel may put a second mapping right behind the first.
        let twice = cut + &line("7f20-7f40", "00000000", 5);
        assert_eq!(huge_bytes(&twice, "/dev/shm/gs-a"), 6 << 20);
    }
}
