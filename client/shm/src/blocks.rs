//! Blocks stub.
/// Control word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ctl(pub(crate) u64);
impl Ctl {
    pub(crate) fn generation(self) -> u64 {
        self.0 & ((1 << 48) - 1)
    }
}
