//! Tables of what has been run in rounds.

use anyhow::Result;

use crate::generator::Answers;
use crate::measure::Samples;
use crate::report::{Cell, Report, Table};
use crate::rounds::Outcome;
use crate::rows::{Budget, Row, Section};
use crate::syscalls;

/// System calls that the gateway may make for a whole answer.
const CALLS_PER_ANSWER: f64 = 6.5;
/// Those that it may make for an event.
const CALLS_PER_EVENT: f64 = 3.2;

/// Prints what a unit costs: of those that do the same side by side, and of functions what they add.
pub(crate) fn costs(outcomes: &[Outcome<'_>], report: &mut Report) {
    let columns = ["to nginx", "to bare hyper", "rounds"];
    let tables = [
        SideBySide {
            section: Section::Passing,
            title: "CPU µs per unit, median",
            columns: &columns,
            compare: to_nginx_and_hyper,
        },
        SideBySide {
            section: Section::Native,
            title: "CPU µs per unit with native filters, median",
            columns: &columns,
            compare: to_nginx_and_hyper,
        },
    ];
    tables
        .iter()
        .for_each(|table| table.print(outcomes, report));
    print_added(outcomes, report);
    print_beside(outcomes, report);
}

/// Prints how many connections to the model server a thousand units open.
pub(crate) fn connections(outcomes: &[Outcome<'_>], report: &mut Report) {
    let passing = SideBySide {
        section: Section::Passing,
        title: "new upstream connections per 1,000 units, most",
        columns: &[],
        compare: |_| Vec::new(),
    };
    passing.print_of(outcomes, report, Samples::connections);
}

/// Prints the system calls per unit of those that the budget compares.
pub(crate) fn system_calls(rows: &[Row<'_>], report: &mut Report) {
    let columns = ["nginx", "bare hyper", "sluicegate", "of these"];
    let mut table = Table::new("system calls per unit", &columns);
    let compared = rows.iter().filter(|row| row.section == Section::Passing);
    for row in compared {
        let cells = count_calls(row);
        let failed = |error| vec![Cell::Text(format!("not counted: {error:#}"))];
        table.add(row.title, cells.unwrap_or_else(failed));
    }
    report.add(table);
}

/// nginx, hyper and the gateway are the first three sides.
fn count_calls(row: &Row<'_>) -> Result<Vec<Cell>> {
    let limit = match row.load.answers {
        Answers::Whole => CALLS_PER_ANSWER,
        Answers::Events(_) => CALLS_PER_EVENT,
    };
    let count = |side: usize| syscalls::per_unit(row.sides[side], row.load);
    let (nginx, bare, gateway) = (count(0)?, count(1)?, count(2)?);
    Ok(vec![
        Cell::Number(nginx.total),
        Cell::Number(bare.total),
        Cell::Within(gateway.total, limit),
        Cell::Text(gateway.names),
    ])
}

/// A table with a column for each side.
struct SideBySide<'a> {
    section: Section,
    title: &'static str,
    /// What stands behind the sides.
    columns: &'a [&'static str],
    compare: fn(&Outcome<'_>) -> Vec<Cell>,
}

impl SideBySide<'_> {
    fn print(&self, outcomes: &[Outcome<'_>], report: &mut Report) {
        self.print_of(outcomes, report, Samples::median);
    }

    fn print_of(&self, outcomes: &[Outcome<'_>], report: &mut Report, of: fn(&Samples) -> f64) {
        let mut outcomes = of_section(outcomes, self.section).peekable();
        let Some(first) = outcomes.peek() else {
            return;
        };
        let names = first.row.sides.iter().map(|side| side.peer.name);
        let columns: Vec<_> = names.chain(self.columns.iter().copied()).collect();
        let mut table = Table::new(self.title, &columns);
        for outcome in outcomes {
            let samples = outcome.samples.iter();
            let numbers = samples.map(|samples| Cell::Number(of(samples)));
            let cells = numbers.chain((self.compare)(outcome)).collect();
            table.add(outcome.row.title, cells);
        }
        report.add(table);
    }
}

fn of_section<'a>(
    outcomes: &'a [Outcome<'a>],
    section: Section,
) -> impl Iterator<Item = &'a Outcome<'a>> {
    outcomes
        .iter()
        .filter(move |outcome| outcome.row.section == section)
}

/// nginx, hyper and the gateway are the first three sides.
fn to_nginx_and_hyper(outcome: &Outcome<'_>) -> Vec<Cell> {
    let [first, second, gateway] = [0, 1, 2].map(|side| outcome.samples[side].median());
    let Budget::Times { nginx, bare } = outcome.row.budget else {
        return Vec::new();
    };
    vec![
        Cell::limited(gateway / first, nginx),
        Cell::limited(gateway / second, bare),
        outcome.rounds(),
    ]
}

fn print_beside(outcomes: &[Outcome<'_>], report: &mut Report) {
    let columns = ["sluicegate", "the other", "times less", "rounds"];
    let mut table = Table::new(
        "CPU µs per unit beside gateways in Python, median",
        &columns,
    );
    for outcome in of_section(outcomes, Section::Beside) {
        let [gateway, other] = [0, 1].map(|side| outcome.samples[side].median());
        let numbers = [gateway, other, other / gateway].map(Cell::Number);
        let cells = numbers.into_iter().chain([outcome.rounds()]);
        table.add(outcome.row.title, cells.collect());
    }
    report.add(table);
}

fn print_added(outcomes: &[Outcome<'_>], report: &mut Report) {
    let columns = ["without, least / median", "with", "added", "rounds"];
    let mut table = Table::new("CPU µs per unit, all processes", &columns);
    for outcome in of_section(outcomes, Section::Added) {
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
    vec![
        pair(without),
        pair(with),
        Cell::limited(more, limit),
        outcome.rounds(),
    ]
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
