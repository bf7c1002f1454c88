//! A /dev/shm that is too small, or that others fill at the wrong moment, is an error with a number in it and
//! never SIGBUS. Each test runs itself again in a mount namespace whose /dev/shm is a small tmpfs.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use gs_shm::*;

const NOW: u64 = 1_000_000;
/// Says that this process is the one inside.
const INSIDE: &str = "GS_SHM_SMALL_TMPFS";
/// Sections tried while others fill the file system.
const RACES: usize = 100;

/// Says that a test is skipped, or fails where skipping is not allowed (as `gs_tests::peers` does).
fn skip(why: &str) {
    let required = std::env::var("GS_REQUIRE_PEERS").is_ok_and(|v| v == "1");
    assert!(!required, "{why}, and GS_REQUIRE_PEERS=1 does not allow the test to be skipped");
    eprintln!("SKIPPED: {why} (GS_REQUIRE_PEERS=1 makes this a failure)");
}

/// Runs a test of this program with a /dev/shm of that size. True inside: go on with the test.
fn inside(test: &str, size: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let script = format!("mount -t tmpfs -o size={size} small /dev/shm || exit 99; exec \"$0\" \"$@\"");
    // A mount namespace alone where we are root, else one of a user namespace of our own.
    for namespaces in [&["-m"][..], &["-r", "-m"]] {
        let program = std::env::current_exe().unwrap();
        let status = Command::new("unshare")
            .args(namespaces)
            .args(["sh", "-c", &script])
            .arg(program)
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(INSIDE, "1")
            .stdin(Stdio::null())
            .status();
        // 1: unshare may not; 99: mount may not.
        match status.map(|s| (s.success(), s.code())) {
            Ok((true, _)) => return false,
            Ok((_, Some(1 | 99))) => {}
            other => panic!("{test} with a /dev/shm of {size}: {other:?}"),
        }
    }
    skip("no mount namespace can be had here");
    false
}

fn cfg(capacity_bytes: u64) -> SectionConfig {
    SectionConfig { capacity_bytes, value_bytes_max: 10_000, ..SectionConfig::default() }
}

fn make(dir: &Path, capacity_bytes: u64) -> Result<Section, OpenError> {
    Section::create_or_adopt(dir, "t", &cfg(capacity_bytes), NOW).map(|(section, _)| section)
}

/// Writes to every block: a page that the file system did not give would be SIGBUS.
fn use_all_of_it(s: &Section) {
    for n in 0..1_000_000u64 {
        let key = n.to_le_bytes();
        let id = s.key_id(0, &key);
        let rec = NewRecord {
            id,
            db: 0,
            key: &key,
            value: &[7; 9_000],
            version: 1,
            deadline_ms: 0,
            kind: 0,
            created_ms: NOW,
        };
        match s.put(&rec, NOW) {
            Ok(_) => {}
            Err(PutError::Full { .. }) => break,
            Err(e) => panic!("{e}"),
        }
    }
    assert!(s.free_blocks() < 100 && s.check(NOW).is_ok());
}

fn left_over(dir: &Path) -> (usize, usize) {
    let names = ["t.cur", "t.new"];
    let files = names.iter().filter(|name| dir.join(name).exists()).count();
    (fs::read_dir("/dev/shm").unwrap().count(), files)
}

// Docker's 64 MiB in small: refused before anything is made, and the text says what is missing.
#[test]
fn a_tmpfs_of_64_kib() {
    if !inside("a_tmpfs_of_64_kib", "64k") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (capacity, missing) in [(256 << 10, 2), (1 << 20, 2), (8 << 20, 9)] {
        match make(dir.path(), capacity) {
            Err(e @ OpenError::NoSpace { missing_mib, .. }) => {
                assert_eq!(missing_mib, missing, "{e}");
                let text = e.to_string();
                assert!(
                    text.contains(&format!("/dev/shm has 0 MiB free and the section needs {missing} MiB"))
                );
                assert!(text.contains(&format!("{missing} MiB are missing; mount it larger")), "{text}");
            }
            other => panic!("{:?}", other.err()),
        }
        assert_eq!(left_over(dir.path()), (0, 0), "nothing is left behind");
    }
}

// What fits is used to the last block; what does not fit beside it is refused and does it no harm.
#[test]
fn a_second_section_that_does_not_fit() {
    if !inside("a_second_section_that_does_not_fit", "8m") {
        return;
    }
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = make(one.path(), 4 << 20).unwrap();
    let refused = make(two.path(), 6 << 20).err().unwrap();
    let text = refused.to_string();
    assert!(text.contains("has 4 MiB free and the section needs 7 MiB: 3 MiB are missing"), "{text}");
    use_all_of_it(&first);
    assert_eq!(left_over(two.path()), (1, 0));
}

// Others fill the file system between the look at it and the pages being taken: an error or a section that
// has all its pages, whatever the moment.
#[test]
fn filled_by_others_meanwhile() {
    if !inside("filled_by_others_meanwhile", "8m") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Each round begins with an empty file system; the other begins to fill it a little later each time.
    let (go, goes) = mpsc::sync_channel::<usize>(0);
    let (filled, is_filled) = mpsc::sync_channel::<()>(0);
    let (mut made, mut late) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let chunk = vec![1u8; 1 << 20];
            for round in goes {
                for _ in 0..round * 200 {
                    std::hint::spin_loop();
                }
                for n in 0..8 {
                    let _ = fs::write(format!("/dev/shm/filler{n}"), &chunk);
                }
                filled.send(()).unwrap();
            }
        });
        for round in 0..RACES {
            go.send(round).unwrap();
            let answer = make(dir.path(), 5 << 20);
            is_filled.recv().unwrap();
            match answer {
                Ok(section) => {
                    made += 1;
                    // There is no free page left: every one that it uses must be there already.
                    use_all_of_it(&section);
                }
                // The look at it asks for a spare MiB more than the section takes.
                Err(OpenError::NoSpace { needed_mib, .. }) => late += usize::from(needed_mib == 5),
                Err(e) => panic!("{e}"),
            }
            Section::remove(dir.path(), "t").unwrap();
            for n in 0..8 {
                fs::remove_file(format!("/dev/shm/filler{n}")).unwrap();
            }
        }
        drop(go);
    });
    println!("{made} made, {late} refused although there had seemed to be room, of {RACES}");
    assert!(made > 0, "the file system was always full");
    assert_eq!(left_over(dir.path()).1, 0);
}
