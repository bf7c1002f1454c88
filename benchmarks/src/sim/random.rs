//! Random numbers that are the same everywhere and for ever: splitmix64, and what is drawn from it.

/// A generator (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that always yields the same for the same seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True once in `1 / p` times.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Exponential with this mean: the time to the next of many independent events.
    pub fn wait(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// 1, 2, 3, ... with this mean (at least 1): how often something goes on that may end each time.
    pub fn count(&mut self, mean: f64) -> u32 {
        let more = 1.0 - 1.0 / mean.max(1.0);
        let mut n = 1;
        while n < 10_000 && self.chance(more) {
            n += 1;
        }
        n
    }
}

/// Ranks with a probability proportional to `1 / rank^skew`.
pub struct Zipf {
    /// Sum of the probabilities up to each rank.
    sums: Vec<f64>,
}

impl Zipf {
    /// The distribution over `keys` ranks.
    pub fn new(keys: usize, skew: f64) -> Zipf {
        let mut sums: Vec<f64> = (1..=keys).map(|rank| (rank as f64).powf(-skew)).collect();
        let mut sum = 0.0;
        for p in &mut sums {
            sum += *p;
            *p = sum;
        }
        sums.iter_mut().for_each(|p| *p /= sum);
        Zipf { sums }
    }

    /// Draws a rank, 0 the most frequent.
    pub fn draw(&self, random: &mut Random) -> u32 {
        let u = random.unit();
        self.sums.partition_point(|sum| *sum <= u).min(self.sums.len() - 1) as u32
    }
}
