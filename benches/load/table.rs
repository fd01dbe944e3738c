//! The results as tables that can go into a document as they are.

use crate::measure::Samples;

/// What the second side of a comparison may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Budget {
    /// So many times the first side.
    Times(f64),
    /// So many microseconds more than the first side.
    Added(f64),
}

/// A comparison that has been run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What was measured.
    pub(crate) title: &'static str,
    /// What is allowed.
    pub(crate) budget: Budget,
    /// The two sides.
    pub(crate) samples: [Samples; 2],
    /// Rounds in which something failed, which do not count.
    pub(crate) failed: usize,
}

/// Prints every outcome with this kind of budget.
pub(crate) fn print(outcomes: &[Outcome]) {
    let (ratios, added): (Vec<_>, Vec<_>) = outcomes
        .iter()
        .partition(|outcome| matches!(outcome.budget, Budget::Times(_)));
    if !ratios.is_empty() {
        println!("\n| CPU µs, min / median | nginx | sluicegate | ratio | budget | rounds |");
        println!("|---|---|---|---|---|---|");
        ratios.iter().for_each(|outcome| outcome.print());
    }
    if !added.is_empty() {
        println!(
            "\n| CPU µs, all processes, min / median | without | with | added | budget | rounds |"
        );
        println!("|---|---|---|---|---|---|");
        added.iter().for_each(|outcome| outcome.print());
    }
}

impl Outcome {
    fn print(&self) {
        let [first, second] = &self.samples;
        let (difference, budget) = match self.budget {
            Budget::Times(times) => (
                pair(second.min() / first.min(), second.median() / first.median()),
                format!("≤ {times}"),
            ),
            Budget::Added(micros) => (
                pair(second.min() - first.min(), second.median() - first.median()),
                format!("≤ {micros}"),
            ),
        };
        let failed = match self.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        println!(
            "| {} | {} | {} | {difference} | {budget} | {}{failed} |",
            self.title,
            pair(first.min(), first.median()),
            pair(second.min(), second.median()),
            second.len(),
        );
    }
}

fn pair(min: f64, median: f64) -> String {
    format!("{min:.2} / {median:.2}")
}
