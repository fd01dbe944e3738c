//! Rounds: every row, every side, one after the other, and back the next time.

use anyhow::Result;

use crate::Options;
use crate::field::Field;
use crate::measure::{Sample, Samples};
use crate::rows::Row;

/// A row that has been run.
#[derive(Debug)]
pub(crate) struct Outcome<'a> {
    /// The row.
    pub(crate) row: &'a Row<'a>,
    /// What its sides cost.
    pub(crate) samples: Vec<Samples>,
    /// Rounds in which something failed, which do not count.
    pub(crate) failed: usize,
}

/// Runs all rows as often as `options` want.
pub(crate) fn run<'a>(rows: &'a [Row<'a>], field: &Field, options: &Options) -> Vec<Outcome<'a>> {
    let new = |row: &'a Row<'a>| Outcome {
        row,
        samples: vec![Samples::default(); row.sides.len()],
        failed: 0,
    };
    let mut outcomes: Vec<_> = rows.iter().map(new).collect();
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        for outcome in &mut outcomes {
            outcome.add_round(round % 2 == 1, field, options);
        }
    }
    outcomes
}

impl Outcome<'_> {
    fn add_round(&mut self, is_reversed: bool, field: &Field, options: &Options) {
        match self.round(is_reversed, field, options) {
            Ok(round) => {
                let sides = self.samples.iter_mut().zip(round);
                sides.for_each(|(samples, sample)| samples.push(sample));
            }
            Err(error) => {
                eprintln!("{}: {error:#}", self.row.title);
                self.failed += 1;
            }
        }
    }

    /// All sides once. A round in which one fails does not count.
    fn round(&self, is_reversed: bool, field: &Field, options: &Options) -> Result<Vec<Sample>> {
        let mut sides: Vec<_> = self.row.sides.iter().collect();
        if is_reversed {
            sides.reverse();
        }
        let samples = sides
            .into_iter()
            .map(|side| side.sample(self.row.load, self.row.window(options), &field.upstream));
        let mut samples = samples.collect::<Result<Vec<_>>>()?;
        if is_reversed {
            samples.reverse();
        }
        Ok(samples)
    }
}
