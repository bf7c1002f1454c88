//! What a cache let go, and what comes late.

use super::{NOW, explore, id, rec, section};
use gs_shm::*;
use loom::sync::Arc;
use loom::thread;

/// The key that is fought over: version 5 of it is let go while version 3, which is history, comes by the stream.
const KEY: u64 = 4;

fn stored(s: &Section, n: u64, version: u64) -> Fill {
    s.fill(&NewRecord { id: id(n), ..rec(s, &[7; 8], version) }, s.ticket(&id(n)), NOW)
}

fn late(s: &Section, n: u64, version: u64) -> Fill {
    s.fill_late(&NewRecord { id: id(n), ..rec(s, &[7; 8], version) }, s.ticket(&id(n)), NOW)
}

/// A cache that keeps version 5 of the key in its second bucket. What comes late finds room in the first, where whoever
/// ends the newer one has looked already.
fn newer_in_the_second_bucket() -> Arc<Section> {
    let s = Arc::new(section(Mode::Cache, 3));
    assert_eq!((stored(&s, 1, 2), stored(&s, KEY, 5)), (Fill::Cached, Fill::Cached));
    s
}

fn explore_late(preemptions: usize, let_go: impl Fn(&Section, &BlockRef) + Sync + Send + Copy + 'static) {
    explore(preemptions, move || {
        let s = newer_in_the_second_bucket();
        let newer = s.peek(&id(KEY), b"", NOW).unwrap().at;
        let late = {
            let s = s.clone();
            thread::spawn(move || late(&s, KEY, 3))
        };
        let_go(&s, &newer);
        assert_ne!(late.join().unwrap(), Fill::Cached);
        assert!(
            s.peek(&id(KEY), b"", NOW).is_none_or(|meta| meta.version == 5),
            "what was replaced came back"
        );
    });
}

// Pressure takes the record that would have stopped what comes late.
#[test]
fn late_fill_evicted() {
    explore_late(1, |s, newer| s.evict_chosen(newer));
}

// So does a delete.
#[test]
fn late_fill_invalidated() {
    explore_late(1, |s, _| {
        s.invalidate(&id(KEY), b"", None);
    });
}

// A mark of the newer version finds no room: it is noted, and then what came before the note is looked for.
#[test]
fn late_fill_beside_a_mark_without_room() {
    explore(2, || {
        let s = Arc::new(section(Mode::Cache, 2));
        let late = {
            let s = s.clone();
            thread::spawn(move || late(&s, KEY, 3))
        };
        s.forgotten(4);
        s.observe(&id(KEY), b"", 5);
        let read = || s.peek(&id(KEY), b"", NOW).map(|meta| meta.version);
        assert_eq!(read(), None, "what was replaced can be read");
        late.join().unwrap();
        assert_eq!(read(), None, "what was replaced came back");
    });
}

// What is let go was chosen a while ago: its block may bear another record by now, with bytes of a value where a version
// was. They are not noted, or nothing that comes late would ever be kept again. Who lets go comes last and no preemption
// is needed: loom gives its loads every value that they could have had earlier.
#[test]
fn chosen_before_it_was_written_anew() {
    explore(0, || {
        let s = Arc::new(section(Mode::Cache, 2));
        assert_eq!((stored(&s, 1, 1), stored(&s, KEY, 1)), (Fill::Cached, Fill::Cached));
        let chosen = s.peek(&id(KEY), b"", NOW).unwrap().at;
        let pressure = {
            let s = s.clone();
            thread::spawn(move || s.evict_chosen(&chosen))
        };
        // The block that was freed last is taken first, so the chosen one becomes the second of the next record.
        s.invalidate(&id(KEY), b"", None);
        s.invalidate(&id(1), b"", None);
        let long = NewRecord { id: id(2), ..rec(&s, &[0xff; 40], 1) };
        let kept = s.fill(&long, s.ticket(&id(2)), NOW);
        pressure.join().unwrap();
        if kept == Fill::Cached {
            s.invalidate(&id(2), b"", None);
        }
        assert_eq!(late(&s, 3, 2), Fill::Cached, "a value's bytes passed for a version");
    });
}
