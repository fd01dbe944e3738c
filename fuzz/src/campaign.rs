//! Runs of one target over many inputs.

use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use tokio::time::Instant;

use crate::Target;
use crate::mutation::{Material, Random, mutated};

/// The bounded run always begins here.
const SEED: u64 = 20_261_121;

/// Seeds longer than this are cut at this many places only.
const CUTS: usize = 400;

/// Inputs kept to be mutated further.
const POOL: usize = 4096;

/// An input for which a property does not hold.
#[derive(Clone, Debug)]
pub struct Find {
    /// The input.
    pub input: Vec<u8>,
    /// How many inputs came before it.
    pub after: usize,
}

/// Checks each seed, its truncations, and so many mutations of it; says how many inputs that were.
///
/// # Panics
///
/// If a property does not hold. The input is in the message.
#[must_use]
pub fn bounded(target: &Target, mutations: usize) -> usize {
    let seeds = (target.seeds)();
    let material = Material {
        seeds: &seeds,
        words: target.words,
    };
    let mut random = Random::from(SEED);
    let mut ran = 0;
    let mut check = |input: &[u8]| {
        ran += 1;
        assert!(
            holds(target, input),
            "{}: {}",
            target.name,
            input.escape_ascii()
        );
    };
    for seed in &seeds {
        check(seed);
        let step = seed.len() / CUTS + 1;
        (0..seed.len())
            .step_by(step)
            .for_each(|cut| check(&seed[..cut]));
        for _ in 0..mutations {
            check(&mutated(seed, material, &mut random));
        }
    }
    ran
}

/// Checks mutations, and mutations of those, until the time is over or a property does not hold.
///
/// # Errors
///
/// The input for which it does not.
pub fn timed(target: &Target, time: Duration, seed: u64) -> Result<usize, Find> {
    let seeds = (target.seeds)();
    let material = Material {
        seeds: &seeds,
        words: target.words,
    };
    let mut random = Random::from(seed);
    let mut pool = seeds.clone();
    let (began, mut ran) = (Instant::now(), 0);
    while began.elapsed() < time {
        let at = random.below(pool.len());
        let input = mutated(&pool[at], material, &mut random);
        if !holds(target, &input) {
            return Err(Find { input, after: ran });
        }
        ran += 1;
        // Some are built upon, so that changes add up; the seeds themselves stay.
        if pool.len() < POOL {
            pool.push(input);
        } else {
            let place = seeds.len() + random.below(POOL - seeds.len());
            pool[place] = input;
        }
    }
    Ok(ran)
}

/// Whether the target's properties hold for `input`.
fn holds(target: &Target, input: &[u8]) -> bool {
    panic::catch_unwind(AssertUnwindSafe(|| (target.check)(input))).is_ok()
}
