//! The steps, up and down.

use futures_util::FutureExt;

use super::gauge::{Gauge, Reading};
use super::*;

#[test]
fn steps_are_taken_at_their_marks_and_taken_back_lower() {
    let walk = [
        (699, Level::Ample),
        (700, Level::Tight),
        (605, Level::Tight),
        (850, Level::Short),
        (701, Level::Short),
        (899, Level::Short),
        (999, Level::Critical),
        (801, Level::Critical),
        (799, Level::Short),
        (650, Level::Tight),
        (599, Level::Ample),
        (950, Level::Critical),
        (0, Level::Ample),
    ];
    let mut level = Level::Ample;
    for (used, expected) in walk {
        level = level.next(used);
        assert_eq!(level, expected, "at {used}");
    }
}

#[test]
fn a_process_knows_its_memory() {
    let measured = Gauge::new(Bound::None).read().unwrap();
    assert!(measured.used_bytes > 100 << 10, "{measured:?}");
    assert_eq!(measured.thousandths(), 0);
    let bounded = Gauge::new(Bound::Bytes(measured.used_bytes / 2));
    assert_eq!(bounded.read().unwrap().thousandths(), 1000);
    let system = Gauge::new(Bound::System).read().unwrap();
    assert!(system.left_bytes > 0 && system.left_bytes < 1 << 50);
}

#[test]
fn the_excess_is_what_must_go() {
    let reading = Reading {
        used_bytes: 950_000,
        left_bytes: 50_000,
        resident_bytes: 0,
    };
    assert_eq!(reading.thousandths(), 950);
    assert_eq!(reading.excess_bytes(800), 150_000);
    assert_eq!(reading.excess_bytes(990), 0);
}

#[tokio::test]
async fn what_nobody_watches_is_never_short() {
    let pressure = Pressure::default();
    assert!(pressure.shortage().now_or_never().is_none());
    pressure.level.send_replace(Level::Tight);
    assert!(pressure.shortage().now_or_never().is_none());
    pressure.level.send_replace(Level::Short);
    assert!(pressure.shortage().now_or_never().is_some());
}
