//! Numbers that look random and are the same in every run of one seed.

/// A generator (splitmix64). `SLUICEGATE_FAULT_SEED` gives another seed than the usual one.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The generator of this run; a test that fails names its seed.
    pub(crate) fn seeded() -> Self {
        let seed = std::env::var("SLUICEGATE_FAULT_SEED").ok();
        Self(
            seed.and_then(|seed| seed.parse().ok())
                .unwrap_or(20_261_121),
        )
    }

    /// The generator of this seed.
    pub(crate) fn from(seed: usize) -> Self {
        Self(seed as u64)
    }

    /// The next number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % limit as u64).unwrap()
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| self.below(256).to_le_bytes()[0])
            .collect()
    }
}
