//! Random changes to bytes, the same in every run of one seed.

/// A generator of numbers that look random (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of this seed.
    #[must_use]
    pub fn from(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `limit`, 0 if that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mixed = usize::try_from(mixed >> 32).unwrap_or(usize::MAX);
        mixed.checked_rem(limit).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap_or(u8::MAX)
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}

/// What new inputs are made of.
#[derive(Clone, Copy, Debug)]
pub struct Material<'a> {
    /// Inputs to take pieces from.
    pub seeds: &'a [Vec<u8>],
    /// Pieces of the grammar.
    pub words: &'a [&'a str],
}

/// No input grows beyond this.
const LONGEST: usize = 16 << 10;

/// A changed copy of `bytes`: one to six changes, one after the other.
#[must_use]
pub fn mutated(bytes: &[u8], material: Material<'_>, random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(6) {
        change(&mut bytes, material, random);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change(bytes: &mut Vec<u8>, material: Material<'_>, random: &mut Random) {
    match random.below(8) {
        0 => set(bytes, random, |_, random| random.byte()),
        1 => set(bytes, random, |byte, random| byte ^ (1 << random.below(8))),
        2 => drop(bytes.drain(span(bytes.len(), random))),
        3 => insert(bytes, random, &[]),
        4 => {
            let piece = bytes[span(bytes.len(), random)].to_vec();
            insert(bytes, random, &piece);
        }
        5 => {
            let other = random.pick(material.seeds).map_or(&[][..], Vec::as_slice);
            let piece = other[span(other.len(), random)].to_vec();
            insert(bytes, random, &piece);
        }
        _ => {
            let word = random.pick(material.words).copied().unwrap_or_default();
            insert(bytes, random, word.as_bytes());
        }
    }
}

fn set(bytes: &mut [u8], random: &mut Random, to: impl Fn(u8, &mut Random) -> u8) {
    let at = random.below(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte = to(*byte, random);
    }
}

/// Puts `piece` somewhere, a random byte if it is empty.
fn insert(bytes: &mut Vec<u8>, random: &mut Random, piece: &[u8]) {
    let at = random.below(bytes.len() + 1);
    let byte = [random.byte()];
    let piece = if piece.is_empty() { &byte } else { piece };
    bytes.splice(at..at, piece.iter().copied());
}

fn span(length: usize, random: &mut Random) -> std::ops::Range<usize> {
    let start = random.below(length + 1);
    start..start + random.below((length - start).min(64) + 1)
}
