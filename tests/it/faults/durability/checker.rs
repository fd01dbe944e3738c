//! Whether a history of one register can be explained: as if every operation had happened at one moment between its
//! beginning and its end, in one order for all. What was never answered may have happened at any later moment, or not.

use std::collections::HashSet;

/// What a client asked and what it was told. Every value is written once at most, so that each names its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// It was told this value.
    Read(u64),
    /// It wrote this one.
    Write(u64),
    /// It wrote `to` if the value was `from`; whether it was, as it was told.
    Swap { from: u64, to: u64, is_done: bool },
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub(super) client: usize,
    pub(super) began: usize,
    /// `None`: it was never answered.
    pub(super) ended: Option<usize>,
    pub(super) what: What,
}

impl What {
    /// The value after it, `None` if it cannot have happened at this value.
    fn after(self, value: u64) -> Option<u64> {
        match self {
            Self::Read(read) => (read == value).then_some(value),
            Self::Write(written) => Some(written),
            Self::Swap {
                from,
                to,
                is_done: true,
            } => (from == value).then_some(to),
            Self::Swap {
                from,
                is_done: false,
                ..
            } => (from != value).then_some(value),
        }
    }

    /// The value that it wrote, if it did.
    fn written(self) -> Option<u64> {
        match self {
            Self::Write(value)
            | Self::Swap {
                to: value,
                is_done: true,
                ..
            } => Some(value),
            _ => None,
        }
    }

    /// The value that it found.
    fn seen(self) -> Option<u64> {
        match self {
            Self::Read(value)
            | Self::Swap {
                from: value,
                is_done: true,
                ..
            } => Some(value),
            _ => None,
        }
    }
}

/// Checks a history that began with the value `initial`.
///
/// # Errors
///
/// What cannot be explained.
pub(super) fn check(history: &[Operation], initial: u64) -> Result<(), String> {
    is_monotonic(history)?;
    let seen: HashSet<u64> = history.iter().filter_map(|it| it.what.seen()).collect();
    // What was never answered and left no trace need not have happened.
    let has_trace = |it: &&Operation| {
        it.ended.is_some() || it.what.written().is_some_and(|value| seen.contains(&value))
    };
    let operations: Vec<Operation> = history.iter().filter(has_trace).copied().collect();
    match Search::of(&operations).explains(initial) {
        true => Ok(()),
        false => Err(format!("no order explains it: {operations:#?}")),
    }
}

/// No client sees a value again that it saw replaced.
fn is_monotonic(history: &[Operation]) -> Result<(), String> {
    let clients: HashSet<usize> = history.iter().map(|it| it.client).collect();
    for client in clients {
        let own = history.iter().filter(|it| it.client == client);
        let mut reads: Vec<u64> = own
            .filter_map(|it| match it.what {
                What::Read(value) => Some(value),
                _ => None,
            })
            .collect();
        reads.dedup();
        let mut known = HashSet::new();
        if let Some(value) = reads.iter().find(|value| !known.insert(**value)) {
            return Err(format!("client {client} saw {value} come back: {reads:?}"));
        }
    }
    Ok(())
}

/// A search for an order, depth first, that enters no state twice.
struct Search<'a> {
    operations: &'a [Operation],
    is_placed: Vec<bool>,
    entered: HashSet<(Vec<bool>, u64)>,
}

/// A place in the order: the operation in it, and the value before it.
struct Place {
    operation: usize,
    before: u64,
}

impl<'a> Search<'a> {
    fn of(operations: &'a [Operation]) -> Self {
        Self {
            operations,
            is_placed: vec![false; operations.len()],
            entered: HashSet::new(),
        }
    }

    fn explains(&mut self, initial: u64) -> bool {
        let (mut places, mut value, mut from): (Vec<Place>, u64, usize) = (Vec::new(), initial, 0);
        while !self.is_complete() {
            if let Some((operation, after)) = self.next(from, value) {
                self.is_placed[operation] = true;
                if self.entered.insert((self.is_placed.clone(), after)) {
                    places.push(Place {
                        operation,
                        before: value,
                    });
                    (value, from) = (after, 0);
                } else {
                    self.is_placed[operation] = false;
                    from = operation + 1;
                }
                continue;
            }
            let Some(place) = places.pop() else {
                return false;
            };
            self.is_placed[place.operation] = false;
            (value, from) = (place.before, place.operation + 1);
        }
        true
    }

    /// Whether all that was answered has its place.
    fn is_complete(&self) -> bool {
        let mut open = self.open();
        open.all(|(_, operation)| operation.ended.is_none())
    }

    fn open(&self) -> impl Iterator<Item = (usize, &'a Operation)> {
        let placed = self.is_placed.iter();
        let all = self.operations.iter().enumerate().zip(placed);
        all.filter(|(_, is_placed)| !**is_placed).map(|(it, _)| it)
    }

    /// The next operation from this one on that may come now, and the value after it: no other may have ended before
    /// it began.
    fn next(&self, from: usize, value: u64) -> Option<(usize, u64)> {
        let first_end = self.open().filter_map(|(_, it)| it.ended).min();
        let may_come = |it: &Operation| first_end.is_none_or(|end| it.began < end);
        let mut candidates = self.open().filter(|(at, it)| *at >= from && may_come(it));
        candidates.find_map(|(at, it)| Some((at, it.what.after(value)?)))
    }
}

fn history(operations: &[(usize, usize, Option<usize>, What)]) -> Vec<Operation> {
    let operations = operations.iter();
    operations
        .map(|&(client, began, ended, what)| Operation {
            client,
            began,
            ended,
            what,
        })
        .collect()
}

#[test]
fn g06_histories_that_can_be_explained_pass() {
    use What::{Read, Swap, Write};
    for good in [
        vec![
            (0, 0, Some(1), Read(0)),
            (0, 2, Some(3), Write(1)),
            (1, 4, Some(5), Read(1)),
        ],
        // Beside a write both values may be read, the new one first by none.
        vec![
            (0, 0, Some(9), Write(1)),
            (1, 1, Some(2), Read(0)),
            (2, 3, Some(4), Read(1)),
        ],
        // Never answered, and done, much later or not at all.
        vec![
            (0, 0, None, Write(1)),
            (1, 2, Some(3), Read(0)),
            (1, 4, Some(5), Read(1)),
        ],
        vec![(0, 0, None, Write(1)), (1, 2, Some(3), Read(0))],
        vec![
            (
                0,
                0,
                Some(5),
                Swap {
                    from: 0,
                    to: 1,
                    is_done: true,
                },
            ),
            (
                1,
                1,
                Some(6),
                Swap {
                    from: 0,
                    to: 2,
                    is_done: false,
                },
            ),
            (2, 7, Some(8), Read(1)),
        ],
    ] {
        assert_eq!(check(&history(&good), 0), Ok(()), "{good:?}");
    }
}

#[test]
fn g06_planted_violations_are_found() {
    use What::{Read, Swap, Write};
    for (bad, what) in [
        (
            vec![(0, 0, Some(1), Write(1)), (1, 2, Some(3), Read(0))],
            "a lost write",
        ),
        (vec![(0, 0, Some(1), Read(7))], "a value that nobody wrote"),
        (
            vec![
                (0, 0, Some(9), Write(1)),
                (1, 1, Some(2), Read(1)),
                (2, 3, Some(4), Read(0)),
            ],
            "an older value after a newer one",
        ),
        (
            vec![
                (
                    0,
                    0,
                    Some(5),
                    Swap {
                        from: 0,
                        to: 1,
                        is_done: true,
                    },
                ),
                (
                    1,
                    1,
                    Some(6),
                    Swap {
                        from: 0,
                        to: 2,
                        is_done: true,
                    },
                ),
            ],
            "two swaps of one value",
        ),
        (
            vec![(
                0,
                0,
                Some(5),
                Swap {
                    from: 0,
                    to: 1,
                    is_done: false,
                },
            )],
            "a swap refused for no reason",
        ),
        (
            vec![
                (0, 0, None, Write(1)),
                (1, 2, Some(3), Read(1)),
                (1, 4, Some(5), Read(0)),
                (1, 6, Some(7), Read(1)),
            ],
            "a write that comes and goes",
        ),
    ] {
        assert!(check(&history(&bad), 0).is_err(), "{what}");
    }
}
