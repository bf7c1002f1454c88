//! Session traces: who comes, how they read, when they come back, how they leave.
//!
//! A session begins with a login and goes on in *visits*: a burst of requests some seconds apart. Between two visits
//! lies a pause, short (another page) or long (another errand). Each request prolongs the session by its time to live;
//! a pause longer than that ends it: who returns then logs in anew, under another token. Some log out, and most
//! simply stay away. Beside them there are *bounces* (one or two requests, never again), *open pages* that ask once a
//! minute, *bots* that bring a new token with every request, in waves, and *sweeps*: a job that reads all sessions of
//! the last hours once.
//!
//! All of it is drawn from one seed. Times are exponential and counts geometric with the means of a [`Mix`].

use super::random::Random;
use super::trace::{Op, Request, Trace};

/// What a session trace is made of. Times in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Name of the trace.
    pub name: &'static str,
    /// Logins, bots not counted.
    pub logins: u32,
    /// How long the trace is.
    pub length_s: f64,
    /// Share of logins that bounce.
    pub bounces: f64,
    /// Share of logins that leave a page open which asks once a minute.
    pub open_pages: f64,
    /// Mean number of visits.
    pub visits: f64,
    /// Mean number of requests in a visit.
    pub burst: f64,
    /// Mean time between two requests of a visit.
    pub pace_s: f64,
    /// Mean of a short pause between visits.
    pub short_s: f64,
    /// Mean of a long one.
    pub long_s: f64,
    /// Share of pauses that are long.
    pub long_share: f64,
    /// Time to live, counted anew by each request.
    pub ttl_s: f64,
    /// Share of sessions that live for a tenth of that only ("remember me" was not ticked).
    pub short_lived: f64,
    /// Share of sessions that end with a logout.
    pub logouts: f64,
    /// Requests a second of a wave of bots; 0 for no bots. A wave comes every half hour and lasts five minutes.
    pub bots_per_s: f64,
    /// Time between two sweeps; 0 for none.
    pub sweep_every_s: f64,
    /// Whether logins follow the hour of the day: the busiest hour sees 19 times as many as the quietest.
    pub by_day: bool,
}

/// The plain case, and what the others are varied from.
pub const SESSIONS: Mix = Mix {
    name: "sessions",
    logins: 120_000,
    length_s: 6.0 * 3600.0,
    bounces: 0.10,
    open_pages: 0.0,
    visits: 4.0,
    burst: 5.0,
    pace_s: 8.0,
    short_s: 180.0,
    long_s: 1800.0,
    long_share: 0.4,
    ttl_s: 7200.0,
    short_lived: 0.0,
    logouts: 0.3,
    bots_per_s: 0.0,
    sweep_every_s: 0.0,
    by_day: false,
};

/// The session traces of the tables.
pub const MIXES: [Mix; 6] = [
    SESSIONS,
    Mix { name: "bounces", bounces: 0.70, ..SESSIONS },
    Mix { name: "rolling TTL", open_pages: 0.15, ttl_s: 1200.0, logouts: 0.1, ..SESSIONS },
    Mix { name: "bots", logins: 60_000, bots_per_s: 25.0, ..SESSIONS },
    Mix { name: "sweeps", logins: 60_000, sweep_every_s: 3600.0, ..SESSIONS },
    Mix {
        name: "day",
        length_s: 24.0 * 3600.0,
        bounces: 0.35,
        open_pages: 0.05,
        bots_per_s: 5.0,
        by_day: true,
        ..SESSIONS
    },
];

/// Two kinds of lives, for the tiers that know when a session ends.
pub const TWO_LIVES: Mix = Mix { name: "two lives", short_lived: 0.6, ..SESSIONS };

const WAVE_EVERY_S: f64 = 1800.0;
const WAVE_S: f64 = 300.0;
const OPEN_EVERY_S: f64 = 60.0;
const OPEN_FOR_S: f64 = 2400.0;
/// A sweep reads what was asked for within this time.
const SWEEP_BACK_S: f64 = 3.0 * 3600.0;
const SWEEP_PER_S: f64 = 200.0;

struct Maker {
    mix: Mix,
    random: Random,
    requests: Vec<Request>,
    keys: u32,
}

impl Maker {
    fn push(&mut self, at_s: f64, key: u32, op: Op) {
        if at_s < self.mix.length_s {
            let ttl_ms = (self.ttl_s(key) * 1000.0) as u64;
            self.requests.push(Request { at_ms: (at_s * 1000.0) as u64, key, op, ttl_ms });
        }
    }

    /// A session's life, which follows from its number.
    fn ttl_s(&self, key: u32) -> f64 {
        let short = self.mix.short_lived > 0.0 && Random::new(u64::from(key)).chance(self.mix.short_lived);
        if short { self.mix.ttl_s / 10.0 } else { self.mix.ttl_s }
    }

    fn new_key(&mut self) -> u32 {
        self.keys += 1;
        self.keys - 1
    }

    /// How much of the busiest hour's traffic comes at this time.
    fn intensity(&self, at_s: f64) -> f64 {
        let phase = at_s / self.mix.length_s * std::f64::consts::TAU;
        if self.mix.by_day { 0.525 - 0.475 * phase.cos() } else { 1.0 }
    }

    fn login(&mut self, at_s: f64) {
        let key = self.new_key();
        let mix = self.mix;
        let kind = self.random.unit();
        if kind < mix.bounces {
            self.push(at_s, key, Op::Get);
            if self.random.chance(0.5) {
                let soon = self.random.wait(5.0);
                self.push(at_s + soon, key, Op::Get);
            }
        } else if kind < mix.bounces + mix.open_pages {
            let until_s = at_s + self.random.wait(OPEN_FOR_S);
            let mut now_s = at_s;
            while now_s <= until_s {
                self.push(now_s, key, Op::Get);
                now_s += OPEN_EVERY_S;
            }
        } else {
            self.visits(at_s, key);
        }
    }

    fn visits(&mut self, at_s: f64, key: u32) {
        let mix = self.mix;
        let mut now_s = at_s;
        let visits = self.random.count(mix.visits);
        for visit in 0..visits {
            for request in 0..self.random.count(mix.burst) {
                if request > 0 {
                    now_s += self.random.wait(mix.pace_s);
                }
                self.push(now_s, key, Op::Get);
            }
            if visit + 1 < visits {
                let long = self.random.chance(mix.long_share);
                let pause_s = self.random.wait(if long { mix.long_s } else { mix.short_s });
                if pause_s >= self.ttl_s(key) {
                    return;
                }
                now_s += pause_s;
            }
        }
        if self.random.chance(mix.logouts) {
            let then_s = now_s + self.random.wait(mix.pace_s);
            self.push(then_s, key, Op::Delete);
        }
    }

    fn bots(&mut self) {
        let mut wave_s = WAVE_EVERY_S / 2.0;
        while wave_s < self.mix.length_s {
            let mut now_s = wave_s;
            while now_s < wave_s + WAVE_S {
                let key = self.new_key();
                self.push(now_s, key, Op::Get);
                now_s += self.random.wait(1.0 / self.mix.bots_per_s);
            }
            wave_s += WAVE_EVERY_S;
        }
    }

    /// Reads what is alive once; needs the other requests in order.
    fn sweeps(&mut self) {
        let mut sweep_s = self.mix.sweep_every_s;
        let mut reads = Vec::new();
        while self.mix.sweep_every_s > 0.0 && sweep_s < self.mix.length_s {
            let span = |s: f64| self.requests.partition_point(|r| r.at_ms < (s * 1000.0) as u64);
            let mut alive = vec![false; self.keys as usize];
            for request in &self.requests[span(sweep_s - SWEEP_BACK_S.min(self.mix.ttl_s))..span(sweep_s)] {
                alive[request.key as usize] = request.op == Op::Get;
            }
            let alive = (0..self.keys).filter(|key| alive[*key as usize]);
            reads.extend(alive.enumerate().map(|(n, key)| (sweep_s + n as f64 / SWEEP_PER_S, key)));
            sweep_s += self.mix.sweep_every_s;
        }
        for (at_s, key) in reads {
            self.push(at_s, key, Op::Get);
        }
    }
}

/// Makes a session trace.
pub fn make(mix: &Mix, seed: u64) -> Trace {
    let mut maker = Maker { mix: *mix, random: Random::new(seed), requests: Vec::new(), keys: 0 };
    for _ in 0..mix.logins {
        let mut at_s = maker.random.unit() * mix.length_s;
        while !{
            let intensity = maker.intensity(at_s);
            maker.random.chance(intensity)
        } {
            at_s = maker.random.unit() * mix.length_s;
        }
        maker.login(at_s);
    }
    if mix.bots_per_s > 0.0 {
        maker.bots();
    }
    // Stable: a login stays before its logout within the same millisecond.
    maker.requests.sort_by_key(|request| request.at_ms);
    maker.sweeps();
    maker.requests.sort_by_key(|request| request.at_ms);
    Trace { name: mix.name, sessions: true, keys: maker.keys, requests: maker.requests }
}

/// The same mix with `1 / by` of the sessions and bots: the times stay, so the shares do.
pub fn smaller(mix: &Mix, by: u32) -> Mix {
    Mix { logins: mix.logins / by, bots_per_s: mix.bots_per_s / f64::from(by), ..*mix }
}
