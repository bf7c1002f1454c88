//! The owner dies and a new one adopts its section: what may be left of a step that only an owner takes.

use super::*;

/// Runs `operation` up to its n-th write in a process that dies there, for every n; each time a new owner
/// adopts the section and `verify` judges what it has.
fn new_owner_after(name: &str, operation: impl Fn(&Section), verify: impl Fn(&Section, bool, &str)) {
    let place = scenarios::Place::new();
    let all = scenarios::all();
    let base = all.iter().find(|s| s.name == "put").unwrap();
    let writes = (0..WRITES_MAX).find(|n| {
        let at = format!("{name}, write {n}");
        drop(place.prepared(base));
        let end = fork::spawn(|| {
            let child = Section::attach(place.dir(), scenarios::NAME, None).expect("attach");
            crash::arm(*n);
            operation(&child);
            crash::disarm();
            std::mem::forget(child);
            0
        })
        .wait();
        let adopted = Section::create_or_adopt(place.dir(), scenarios::NAME, &base.cfg(), LATER);
        let (s, origin) = adopted.unwrap();
        assert_eq!(origin, Origin::Adopted, "{at}");
        verify(&s, end == End::Code(0), &at);
        scenarios::recovered(&s, &at);
        end == End::Code(0)
    });
    assert!(writes.unwrap() > 2);
}

/// Marks the one record of "key", copies it and releases it.
fn release_key(s: &Section, at: &str) {
    let mut victims = Vec::new();
    s.sweep(s.geometry().blocks, LATER, &mut |_| Verdict::Take, &mut victims);
    let of_key = victims.iter().find_map(|victim| {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let meta = s.copy_victim(&victim.at, &mut key, &mut value)?;
        (key == b"key").then_some(meta.at)
    });
    assert_eq!(s.release(&of_key.unwrap()), Release::Freed, "{at}");
}

// A store of the same version leaves two copies when it dies in between. When the one that is shown goes, by a
// release or past its deadline, the other must not surface.
#[test]
fn no_twin_surfaces() {
    let restamp = |s: &Section| {
        assert!(scenarios::store(s, b"key", 1, LATER + 50, NOW));
    };
    new_owner_after("restamp, then release", restamp, |s, _, at| {
        assert_eq!(scenarios::read(s, b"key"), Some(1), "{at}");
        release_key(s, at);
        assert_eq!(scenarios::read(s, b"key"), None, "{at}: its twin surfaced");
    });
    new_owner_after("restamp, then expiry", restamp, |s, _, at| {
        let id = s.key_id(0, b"key");
        let shown = s.peek(&id, b"key", LATER).unwrap();
        let end = LATER + 100;
        let mut told = 0;
        s.expire_sweep(0, s.geometry().blocks, end, &mut |_, _| told += 1);
        let here = s.peek(&id, b"key", end);
        assert_eq!(here.is_none(), shown.deadline_ms != 0, "{at}: {here:?} after {shown:?}");
        assert_eq!(told, u32::from(here.is_none()), "{at}: each expiry is told once");
    });
}

// A releaser that dies leaves a record that can be read: then it can be touched as well, at once, and not only
// when someone comes to re-adopt it.
#[test]
fn what_can_be_read_can_be_touched() {
    let release = |s: &Section| release_key(s, "alone");
    new_owner_after("release, then touch", release, |s, done, at| {
        let found = scenarios::read(s, b"key");
        assert!(found == Some(1) || found.is_none(), "{at}");
        assert!(found.is_none() || !done, "{at}");
        let touched = s.set_deadline(&s.key_id(0, b"key"), b"key", LATER + 60_000, LATER);
        assert_eq!(touched.is_some(), found.is_some(), "{at}: readable and not touchable");
    });
}
