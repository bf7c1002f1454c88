//! Whole numbers of any length, with the few operations that reading and printing take.

/// A number in limbs of 64 bits, the lowest first and none of them zero at the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Big(Vec<u64>);

/// The most digits of a limb, and ten to that.
const LIMB_DIGITS: usize = 19;
const LIMB_TEN: u64 = 10u64.pow(LIMB_DIGITS as u32);

impl From<u128> for Big {
    fn from(n: u128) -> Big {
        Big(vec![n as u64, (n >> 64) as u64]).trimmed()
    }
}

impl Big {
    fn trimmed(mut self) -> Big {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    /// Reads decimal digits.
    pub(super) fn decimal(digits: &[u8]) -> Big {
        let mut n = Big(Vec::new());
        for chunk in digits.chunks(LIMB_DIGITS) {
            let value = chunk.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0'));
            n.multiply_add(10u64.pow(chunk.len() as u32), value);
        }
        n
    }

    /// Reads hexadecimal digits.
    pub(super) fn hexadecimal(digits: &[u8]) -> Big {
        let value = |chunk: &[u8]| {
            let digit = |byte: u8| u64::from((byte as char).to_digit(16).unwrap_or(0));
            chunk.iter().fold(0, |n, byte| n << 4 | digit(*byte))
        };
        Big(digits.rchunks(16).map(value).collect()).trimmed()
    }

    /// Significant bits.
    pub(super) fn bits(&self) -> usize {
        self.0.last().map_or(0, |top| self.0.len() * 64 - top.leading_zeros() as usize)
    }

    /// The number without its lowest `drop` bits, and whether any of these was set.
    pub(super) fn top(&self, drop: usize) -> (u128, bool) {
        let (limbs, bits) = (drop / 64, drop % 64);
        let limb = |i: usize| u128::from(self.0.get(limbs + i).copied().unwrap_or(0));
        let low = limb(0) | limb(1) << 64;
        let n = if bits == 0 { low } else { low >> bits | limb(2) << (128 - bits) };
        let below = self.0.iter().take(limbs).any(|limb| *limb != 0);
        (n, below || limb(0) as u64 & ((1u64 << bits) - 1) != 0)
    }

    /// Times two to the power of `by`.
    pub(super) fn shifted(&self, by: usize) -> Big {
        let (limbs, bits) = (by / 64, by % 64);
        let mut shifted = vec![0; limbs];
        let mut carry = 0;
        for limb in &self.0 {
            let wide = u128::from(*limb) << bits;
            shifted.push(wide as u64 | carry);
            carry = (wide >> 64) as u64;
        }
        shifted.push(carry);
        Big(shifted).trimmed()
    }

    /// Times ten to the power of `by`.
    pub(super) fn times_ten_to(mut self, mut by: usize) -> Big {
        while by > 0 {
            let step = by.min(LIMB_DIGITS);
            self.multiply_add(10u64.pow(step as u32), 0);
            by -= step;
        }
        self
    }

    /// Over ten to the power of `by`, rounded down, and whether anything was left over.
    pub(super) fn over_ten_to(mut self, mut by: usize) -> (Big, bool) {
        let mut more = false;
        while by > 0 {
            let step = by.min(LIMB_DIGITS);
            more |= self.divide(10u64.pow(step as u32)) != 0;
            by -= step;
        }
        (self, more)
    }

    /// Appends the number in decimal.
    pub(super) fn push(mut self, out: &mut Vec<u8>) {
        let mut chunks = Vec::new();
        while !self.0.is_empty() {
            chunks.push(self.divide(LIMB_TEN));
        }
        crate::num::push_u64(out, chunks.pop().unwrap_or(0));
        for chunk in chunks.iter().rev() {
            out.extend_from_slice(format!("{chunk:019}").as_bytes());
        }
    }

    fn multiply_add(&mut self, by: u64, add: u64) {
        let mut carry = u128::from(add);
        for limb in &mut self.0 {
            let wide = u128::from(*limb) * u128::from(by) + carry;
            *limb = wide as u64;
            carry = wide >> 64;
        }
        if carry != 0 {
            self.0.push(carry as u64);
        }
    }

    /// Divides; the answer is what is left over.
    fn divide(&mut self, by: u64) -> u64 {
        let mut rest = 0u128;
        for limb in self.0.iter_mut().rev() {
            let wide = rest << 64 | u128::from(*limb);
            *limb = (wide / u128::from(by)) as u64;
            rest = wide % u128::from(by);
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        rest as u64
    }
}
