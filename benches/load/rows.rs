//! The rows of the tables of costs: a load, who is put under it, and what it may cost.

use crate::field::Field;
use crate::generator::{Answers, Load};
use crate::measure::Side;
use crate::peers::{CHAINS, GROUPS, INLET, PLAIN, Peer, STREAM};

/// Long enough that no paced stream ends in a window.
const ENDLESS: u64 = 1_000_000;

/// Some sides under one load.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    /// What is measured.
    pub(crate) title: &'static str,
    /// The load.
    pub(crate) load: Load,
    /// Who is put under it.
    pub(crate) sides: Vec<Side<'a>>,
    /// What it may cost.
    pub(crate) budget: Budget,
}

/// What a row may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Budget {
    /// The gateway: so many times what nginx costs, and a bare hyper.
    Times {
        /// nginx.
        nginx: f64,
        /// hyper.
        bare: f64,
    },
    /// The second side: so many microseconds more than the first; without a number it is told only.
    Added(Option<f64>),
}

/// What is passed on as it is, by everybody.
pub(crate) fn passing(field: &Field) -> Vec<Row<'_>> {
    let row = |title, [nginx, bare]: [f64; 2], connections, answers| Row {
        title,
        load: load(connections, 1200, answers),
        sides: field
            .passers()
            .map(|peer| Side { peer, model: PLAIN })
            .collect(),
        budget: Budget::Times { nginx, bare },
    };
    vec![
        row("unary, 64 clients", [1.5, 1.15], 64, Answers::Whole),
        row("event, 256 streams, 20 ms apart", [1.3, 1.1], 256, paced()),
        row(
            "event, 64 streams in bursts of 200",
            [3.0, 1.1],
            64,
            burst(),
        ),
    ]
}

/// What functions add, against the same gateway without them.
pub(crate) fn filtering(field: &Field) -> Vec<Row<'_>> {
    let Some(python) = &field.python else {
        return Vec::new();
    };
    let row = |title, micros, connections, answers, model| {
        added(
            python,
            title,
            Some(micros),
            load(connections, 4096, answers),
            model,
        )
    };
    let mut rows = vec![
        row(
            "Python inlet of 4 KB, 1 client",
            30.0,
            1,
            Answers::Whole,
            INLET,
        ),
        row(
            "Python inlet of 4 KB, 64 clients",
            20.0,
            64,
            Answers::Whole,
            INLET,
        ),
        row(
            "Python stream, 64 streams, 20 ms apart",
            4.0,
            64,
            paced(),
            STREAM,
        ),
        row(
            "Python stream, 64 streams in bursts of 200",
            2.5,
            64,
            burst(),
            STREAM,
        ),
    ];
    let chains = [
        "1 Python filter in a chain",
        "2 Python filters in a chain",
        "3 Python filters in a chain",
        "5 Python filters in a chain",
    ];
    let groups = [
        "2 Python filters of one group",
        "3 Python filters of one group",
        "5 Python filters of one group",
    ];
    let chains = chains.into_iter().zip(CHAINS);
    let chains = chains.chain(groups.into_iter().zip(GROUPS));
    rows.extend(chains.map(|(title, (_, model))| {
        added(python, title, None, load(64, 1200, Answers::Whole), model)
    }));
    rows
}

fn added<'a>(
    peer: &'a Peer,
    title: &'static str,
    micros: Option<f64>,
    load: Load,
    model: &'static str,
) -> Row<'a> {
    Row {
        title,
        load,
        sides: [PLAIN, model].map(|model| Side { peer, model }).to_vec(),
        budget: Budget::Added(micros),
    }
}

/// Clients that ask again as soon as they can.
pub(crate) fn load(connections: usize, request_bytes: usize, answers: Answers) -> Load {
    Load {
        connections,
        request_bytes,
        answers,
        rate: None,
    }
}

/// Streams as people read them.
pub(crate) fn paced() -> Answers {
    Answers::Events {
        count: ENDLESS,
        pause_micros: 20_000,
    }
}

fn burst() -> Answers {
    Answers::Events {
        count: 200,
        pause_micros: 0,
    }
}
