//! The rows of the tables of costs: a load, who is put under it, and what it may cost.

use std::time::Duration;

use crate::Options;
use crate::field::Field;
use crate::gateway::{CHAINS, CLAMP, GROUPS, INLET, PLAIN, REDACT, STREAM, WATCH, WORDS};
use crate::generator::{Answers, Load};
use crate::measure::Side;
use crate::peers::Peer;
use crate::upstream::Wish;

/// Long enough that no paced stream ends in a window.
const ENDLESS: u64 = 1_000_000;
/// What people read.
const PACED: Wish = Wish::new(ENDLESS, 20_000);
/// Gateways in Python answer some dozens or hundreds of requests a second; more clients would only wait.
const FEW: usize = 4;
/// Windows that are one for them.
const SLOW_WINDOWS: u32 = 4;

/// The row of functions that run on no request.
pub(crate) const STORED: &str = "unary, 10,000 functions stored";
/// The rows beside Open WebUI.
pub(crate) const BESIDE_WEBUI: [&str; 3] = [
    "unary beside Open WebUI",
    "Python inlet beside Open WebUI",
    "Python stream beside Open WebUI",
];
/// The rows beside LiteLLM.
pub(crate) const BESIDE_LITELLM: [&str; 2] = ["unary beside LiteLLM", "event beside LiteLLM"];

/// Some sides under one load.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    /// What is measured.
    pub(crate) title: &'static str,
    /// The table that it stands in.
    pub(crate) section: Section,
    /// The load.
    pub(crate) load: Load,
    /// Who is put under it.
    pub(crate) sides: Vec<Side<'a>>,
    /// What it may cost.
    pub(crate) budget: Budget,
}

impl Row<'_> {
    /// How long a round measures each side.
    pub(crate) fn window(&self, options: &Options) -> Duration {
        match self.section {
            Section::Beside => options.window * SLOW_WINDOWS,
            _ => options.window,
        }
    }
}

/// The tables that rows stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// Everybody passes the same on.
    Passing,
    /// Filters in Rust; nginx and hyper pass the same on.
    Native,
    /// What is added to the same gateway without.
    Added,
    /// Beside a gateway in Python.
    Beside,
}

/// What a row may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Budget {
    /// The gateway: so many times what nginx costs, and a bare hyper; without a number it is told only.
    Times {
        /// nginx.
        nginx: Option<f64>,
        /// hyper.
        bare: Option<f64>,
    },
    /// The second side: so many microseconds more than the first; without a number it is told only.
    Added(Option<f64>),
}

/// What costs are told of, all together, so that their rounds alternate.
pub(crate) fn all(field: &Field) -> Vec<Row<'_>> {
    let mut rows = passing(field);
    rows.extend(native(field));
    rows.extend(field.python.iter().flat_map(filtering));
    rows.extend(field.python.iter().flat_map(chains));
    rows.extend(stored(field));
    rows.extend(beside(field));
    rows
}

/// What is passed on as it is, by everybody.
fn passing(field: &Field) -> Vec<Row<'_>> {
    let row = |title, [nginx, bare]: [f64; 2], connections, answers| Row {
        title,
        section: Section::Passing,
        load: load(connections, 1200, answers),
        sides: sides(field.passers(), PLAIN),
        budget: times(Some(nginx), Some(bare)),
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

/// What filters in Rust cost, where nginx and hyper pass the same on.
fn native(field: &Field) -> Vec<Row<'_>> {
    let row = |title, model, load, nginx, bare| Row {
        title,
        section: Section::Native,
        load,
        sides: [
            (&field.nginx, PLAIN),
            (&field.bare, PLAIN),
            (&field.native, model),
        ]
        .map(|(peer, model)| Side { peer, model })
        .to_vec(),
        budget: times(nginx, Some(bare)),
    };
    let inlet = |title, model, bytes, nginx, bare| {
        row(
            title,
            model,
            load(64, bytes, Answers::Whole),
            Some(nginx),
            bare,
        )
    };
    let stream = |title, model, answers| row(title, model, load(64, 1200, answers), None, 1.3);
    vec![
        inlet("native inlet, one member, 1.2 KB", CLAMP, 1200, 2.0, 1.5),
        inlet("native inlet, one member, 16 KB", CLAMP, 16 << 10, 2.6, 2.0),
        inlet("native inlet, redaction, 1.2 KB", REDACT, 1200, 2.0, 1.5),
        inlet("native inlet, redaction, 16 KB", REDACT, 16 << 10, 2.6, 2.0),
        stream(
            "native stream, a word replaced, 20 ms apart",
            WORDS,
            paced(),
        ),
        stream(
            "native stream, a word replaced, bursts of 200",
            WORDS,
            burst(),
        ),
        stream(
            "native stream, nothing to redact, 20 ms apart",
            WATCH,
            paced(),
        ),
        stream(
            "native stream, nothing to redact, bursts of 200",
            WATCH,
            burst(),
        ),
    ]
}

/// What functions add, against the same gateway without them.
fn filtering(python: &Peer) -> Vec<Row<'_>> {
    let row = |title, micros, connections, answers, model| {
        added(
            [(python, PLAIN), (python, model)],
            title,
            Some(micros),
            load(connections, 4096, answers),
        )
    };
    let inlet = |title, micros, clients| row(title, micros, clients, Answers::Whole, INLET);
    let stream = |title, micros, streams, answers| row(title, micros, streams, answers, STREAM);
    let alone = Answers::Events(Wish::new(ENDLESS, 1000));
    let in_step = Answers::Events(PACED.in_step());
    vec![
        inlet("Python inlet of 4 KB, 1 client", 30.0, 1),
        inlet("Python inlet of 4 KB, 64 clients", 20.0, 64),
        stream("Python stream, 1 stream, 1 ms apart", 13.0, 1, alone),
        stream("Python stream, 64 streams, 20 ms apart", 4.0, 64, paced()),
        stream("Python stream, 64 in step, 20 ms apart", 4.0, 64, in_step),
        stream(
            "Python stream, 64 streams in bursts of 200",
            2.5,
            64,
            burst(),
        ),
    ]
}

/// What filters add that run one after the other.
fn chains(python: &Peer) -> impl Iterator<Item = Row<'_>> {
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
    let both = chains.chain(groups.into_iter().zip(GROUPS));
    both.map(move |(title, (_, model))| {
        let sides = [(python, PLAIN), (python, model)];
        added(sides, title, None, load(64, 1200, Answers::Whole))
    })
}

/// What functions cost that are installed and run on no request.
fn stored(field: &Field) -> Option<Row<'_>> {
    let stored = field.stored.as_ref()?;
    Some(added(
        [(&field.gateway, PLAIN), (stored, PLAIN)],
        STORED,
        None,
        load(64, 1200, Answers::Whole),
    ))
}

/// The same here and in gateways that are written in Python: LiteLLM, and Open WebUI with the same functions.
fn beside(field: &Field) -> Vec<Row<'_>> {
    let Some(python) = &field.python else {
        return Vec::new();
    };
    let row = |title, other, model, answers| Row {
        title,
        section: Section::Beside,
        load: load(FEW, 4096, answers),
        sides: sides([python, other], model),
        budget: times(None, None),
    };
    let [unary, inlet, stream] = BESIDE_WEBUI;
    let webui = field.webui.iter().flat_map(|webui| {
        [
            row(unary, webui, PLAIN, Answers::Whole),
            row(inlet, webui, INLET, Answers::Whole),
            row(stream, webui, STREAM, burst()),
        ]
    });
    let [unary, event] = BESIDE_LITELLM;
    let litellm = field.litellm.iter().flat_map(|litellm| {
        [
            row(unary, litellm, PLAIN, Answers::Whole),
            row(event, litellm, PLAIN, burst()),
        ]
    });
    webui.chain(litellm).collect()
}

fn added<'a>(
    sides: [(&'a Peer, &'static str); 2],
    title: &'static str,
    micros: Option<f64>,
    load: Load,
) -> Row<'a> {
    Row {
        title,
        section: Section::Added,
        load,
        sides: sides.map(|(peer, model)| Side { peer, model }).to_vec(),
        budget: Budget::Added(micros),
    }
}

fn sides<'a>(peers: impl IntoIterator<Item = &'a Peer>, model: &'static str) -> Vec<Side<'a>> {
    peers.into_iter().map(|peer| Side { peer, model }).collect()
}

fn times(nginx: Option<f64>, bare: Option<f64>) -> Budget {
    Budget::Times { nginx, bare }
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
    Answers::Events(PACED)
}

fn burst() -> Answers {
    Answers::Events(Wish::new(200, 0))
}
