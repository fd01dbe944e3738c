//! Tables of what has been run in rounds.

use crate::measure::Samples;
use crate::report::{Cell, Report, Table};
use crate::rounds::Outcome;
use crate::rows::{Budget, Row};
use crate::syscalls;

/// Prints what a unit costs: of those that pass it on side by side, and of functions what they add.
pub(crate) fn costs(outcomes: &[Outcome<'_>], report: &mut Report) {
    if let Some(mut table) = by_peer(
        outcomes,
        "CPU µs per unit, median",
        &["to nginx", "to bare hyper", "rounds"],
    ) {
        for (outcome, [nginx, bare]) in passing(outcomes) {
            let mut cells = numbers(outcome, Samples::median);
            let [first, second, gateway] = [0, 1, 2].map(|side| outcome.samples[side].median());
            cells.push(Cell::Within(gateway / first, nginx));
            cells.push(Cell::Within(gateway / second, bare));
            cells.push(outcome.rounds());
            table.add(outcome.row.title, cells);
        }
        report.add(table);
    }
    let columns = ["without, least / median", "with", "added", "rounds"];
    let mut table = Table::new("CPU µs per unit, all processes", &columns);
    for outcome in outcomes {
        if let Budget::Added(limit) = outcome.row.budget {
            table.add(outcome.row.title, added(outcome, limit));
        }
    }
    report.add(table);
}

fn added(outcome: &Outcome<'_>, limit: Option<f64>) -> Vec<Cell> {
    let pair = |samples: &Samples| Cell::Pair(samples.min(), samples.median());
    let [without, with] = [&outcome.samples[0], &outcome.samples[1]];
    let more = with.median() - without.median();
    let more = limit.map_or(Cell::Number(more), |limit| Cell::Within(more, limit));
    vec![pair(without), pair(with), more, outcome.rounds()]
}

/// Prints how many connections to the model server a thousand units open.
pub(crate) fn connections(outcomes: &[Outcome<'_>], report: &mut Report) {
    let title = "new upstream connections per 1,000 units, most";
    if let Some(mut table) = by_peer(outcomes, title, &[]) {
        for (outcome, _) in passing(outcomes) {
            table.add(outcome.row.title, numbers(outcome, Samples::connections));
        }
        report.add(table);
    }
}

/// Prints the system calls per unit of those that the budget compares.
pub(crate) fn system_calls(rows: &[Row<'_>], report: &mut Report) {
    let mut table = Table::new(
        "system calls per unit",
        &["nginx", "bare hyper", "sluicegate"],
    );
    let compared = rows
        .iter()
        .filter(|row| matches!(row.budget, Budget::Times { .. }));
    for row in compared {
        let counted = row.sides.iter().take(3).map(|side| {
            let counted = syscalls::per_unit(*side, row.load);
            Cell::Text(counted.unwrap_or_else(|error| format!("not counted: {error:#}")))
        });
        table.add(row.title, counted.collect());
    }
    report.add(table);
}

/// A table with a column for each peer that passes requests on, and `more`.
fn by_peer(outcomes: &[Outcome<'_>], title: &'static str, more: &[&str]) -> Option<Table> {
    let (first, _) = passing(outcomes).next()?;
    let names = first.row.sides.iter().map(|side| side.peer.name);
    let columns: Vec<_> = names.chain(more.iter().copied()).collect();
    Some(Table::new(title, &columns))
}

fn passing<'a>(outcomes: &'a [Outcome<'a>]) -> impl Iterator<Item = (&'a Outcome<'a>, [f64; 2])> {
    outcomes
        .iter()
        .filter_map(|outcome| match outcome.row.budget {
            Budget::Times { nginx, bare } => Some((outcome, [nginx, bare])),
            Budget::Added(_) => None,
        })
}

fn numbers(outcome: &Outcome<'_>, of: impl Fn(&Samples) -> f64) -> Vec<Cell> {
    let samples = outcome.samples.iter();
    samples.map(|samples| Cell::Number(of(samples))).collect()
}

impl Outcome<'_> {
    fn rounds(&self) -> Cell {
        let counted = self.samples[0].len();
        Cell::Text(match self.failed {
            0 => counted.to_string(),
            failed => format!("{counted}, {failed} failed"),
        })
    }
}
