//! X16: whether the time of a refusal tells how much of a key was right. Time decides only where it is asked to:
//! `SLUICEGATE_TIMING_TRIALS=100000 cargo test --lib auth::tests::timing -- --nocapture`.

use std::hint::black_box;

use tokio::time::Instant;

use super::*;
use crate::store::ids;

/// Trials of each kind; that many are judged, the usual few only run.
const VARIABLE: &str = "SLUICEGATE_TIMING_TRIALS";
const USUAL: usize = 500;
/// The bound of leakage tests: above it the two kinds are told apart.
const BOUND: f64 = 4.5;
/// The slowest trials say what else the machine did.
const KEPT: f64 = 0.95;

const KNOWN: &str = "sk-0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn wrong_keys_take_as_long_as_unknown_ones() {
    let trials = std::env::var(VARIABLE).ok();
    let trials: Option<usize> = trials.and_then(|text| text.parse().ok());
    let config = Config {
        users: vec![configured("root", Role::Admin, KNOWN)],
        ..config()
    };
    let (_folder, auth, _) = start(&config).await;
    assert!(auth.directory().verify(KNOWN.as_bytes()).is_some());
    let (mut unknown, mut wrong) = (Vec::new(), Vec::new());
    for _ in 0..2 * trials.unwrap_or(USUAL) {
        // By chance, so that neither what the machine does nor the housekeeping of a cache falls on one kind alone.
        match ids::random_bytes::<1>()[0] & 1 {
            0 => unknown.push(refuse(&auth, &random_key(0))),
            _ => wrong.push(refuse(&auth, &random_key(KNOWN.len() - 12))),
        }
    }
    let t = welch(&usual_of(unknown), &usual_of(wrong));
    eprintln!("auth: x16: Welch's t of {trials:?} trials of each kind: {t:.2}");
    assert!(trials.is_none() || t.abs() < BOUND, "t is {t:.2}");
}

/// A key that nobody has; its first bytes are those of one that is known.
fn random_key(right: usize) -> String {
    let random = format!("sk-{}", ids::hex(&ids::random_bytes::<16>()));
    format!("{}{}", &KNOWN[..right], &random[right..])
}

/// How long it takes to refuse a key, in nanoseconds.
fn refuse(auth: &Auth, key: &str) -> f64 {
    let began = Instant::now();
    let found = black_box(auth.directory().verify(black_box(key.as_bytes())));
    let took = began.elapsed();
    assert!(found.is_none());
    took.as_secs_f64() * 1e9
}

fn usual_of(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    let kept = (times.len() as f64 * KEPT) as usize;
    times.truncate(kept);
    times
}

/// Welch's t of two samples.
fn welch(first: &[f64], second: &[f64]) -> f64 {
    let (mean, variance) = moments(first);
    let (other_mean, other_variance) = moments(second);
    let error = variance / first.len() as f64 + other_variance / second.len() as f64;
    (mean - other_mean) / error.sqrt()
}

fn moments(sample: &[f64]) -> (f64, f64) {
    let count = sample.len() as f64;
    let mean = sample.iter().sum::<f64>() / count;
    let squares: f64 = sample.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, squares / (count - 1.0))
}
