//! Any mix of sizes uses the memory well, and no mix starves after another: at the block size that is advised for
//! a mix at least 85 % of the block area holds live headers and payload when the section is full, and a section
//! that was full of something else comes to the same level.

use benchmarks::room::{Level, MIXES, Room, Sizes};
use gs_shm::{BLOCK_BYTES_DEFAULT, Mode};

const CAPACITY: u64 = 8 << 20;
const BAR: f64 = 0.85;
/// Sizes are drawn, so two levels of one mix are not equal to the last byte.
const SAME: f64 = 0.01;

fn full(mode: Mode, block_bytes: u32, turns: &[Sizes]) -> Level {
    let mut room = Room::new(mode, block_bytes, CAPACITY).expect("it fits");
    let levels: Vec<Level> = turns.iter().map(|sizes| room.fill(*sizes)).collect();
    let level = *levels.last().expect("there is a mix");
    room.check().unwrap_or_else(|complaints| panic!("{mode:?} {block_bytes} {turns:?}: {complaints:?}"));
    for level in levels {
        assert_eq!(level.refused, 0, "{mode:?} {block_bytes} {turns:?}: nothing is refused for want of room");
        let rare = level.bucket_full as f64 / level.writes as f64;
        assert!(rare < 0.002, "{mode:?} {block_bytes} {turns:?}: {rare} of the writes met full buckets");
    }
    // The demoter keeps 3 % free; a cache keeps nothing free but what one walk gathers.
    assert!(level.used > 0.96, "{mode:?} {block_bytes} {turns:?}: blocks lie idle: {level:?}");
    level
}

#[test]
fn a_full_section_is_full_of_sessions() {
    for mode in [Mode::Cache, Mode::Owner] {
        for sizes in MIXES {
            let advised = sizes.advised(mode);
            let level = full(mode, advised, &[sizes]);
            assert!(level.live >= BAR, "{mode:?} {} at {advised}: {level:?}", sizes.name());
            let default = full(mode, BLOCK_BYTES_DEFAULT, &[sizes]);
            assert!(default.live <= level.live + SAME, "{mode:?} {}: the advice is worse", sizes.name());
        }
    }
}

#[test]
fn a_shift_of_sizes_starves_nobody() {
    for mode in [Mode::Cache, Mode::Owner] {
        for from in MIXES {
            for to in MIXES.into_iter().filter(|to| *to != from) {
                for block_bytes in [from.advised(mode), to.advised(mode)] {
                    let fresh = full(mode, block_bytes, &[to]);
                    let shifted = full(mode, block_bytes, &[from, to]);
                    let what = format!("{mode:?} {} to {} at {block_bytes}", from.name(), to.name());
                    assert!((shifted.live - fresh.live).abs() < SAME, "{what}: {shifted:?}, fresh {fresh:?}");
                    assert!(shifted.strangers * 100 < shifted.records, "{what}: old ones stay: {shifted:?}");
                    if block_bytes == to.advised(mode) {
                        assert!(shifted.live >= BAR, "{what}: {shifted:?}");
                    }
                }
            }
        }
    }
}
