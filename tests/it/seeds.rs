//! The examples of the user's documents, uploaded as they stand: each does what the text beside it says (rule 1 of
//! the rulings). They are read out of `../shared/seeds` when the tests run, so nothing of them is retyped here.
//!
//! | seed | example (heading, block) | the text says | test |
//! |---|---|---|---|
//! | 000 | Valve Implementation | admins set `Valves`, each user `UserValves`, without a change of code | `pipes` |
//! | 000 | Frontmatter Dependency Installation | a comma-separated list is installed, at these versions | `requirements` |
//! | 000 | Function Implementation | a pipe on `Function`, with a requirement, answers once it is active and chosen | `requirements` |
//! | 000 | Valve Configuration | uploaded, configured, activated, chosen as a model | `pipes` |
//! | 001 | Frontmatter fields | requirements are installed, other fields can be read | `requirements` |
//! | 001 | Execution flow | values are passed only if the pipe declares them (its names are read out of the block) | `pipes` |
//! | 001 | Event hooks | a pipe emits and answers | `pipes` |
//! | 001 | Streaming responses | each item is a chunk; not streamed, they are joined | `pipes` |
//! | 001 | Creating a pipe | echoes once it is enabled; `requests` is there | `pipes` |
//! | 001 | Manifold pipes | users can select `pipe_id.sub_id` | `pipes` |
//! | 002 | The `pipe()` Method, signature | every type of the table of returns; `**kwargs` holds the context | `reference` |
//! | 002 | The `pipe()` Method, example | its text is the answer | `reference` |
//! | 002 | The `pipes()` Method, signature | a list of variants | `reference` |
//! | 002 | The `pipes()` Method, example | its variants are models | `reference` |
//! | 002 | Pipe Plugin Creation Example | the whole file: two models, one answer | `reference` |
//! | 003 | 10.2 Custom Functions (Python), the function | models are offered it as the request below it shows, and call it | `tools` |
//! | 004 | Filters Guide | three optional handlers that change nothing | `filters` |
//! | 004 | Loading and frontmatter | the requirement is there before the filter runs | `filters` |
//! | 004 | Configuration via Valves | values change without an upload; the higher the priority, the later | `filters` |
//! | 004 | Example | a turn limit with a bonus for each user, tokens in the log, files kept back | `filters` |
//!
//! What a method or a class of valves cannot do alone it does in the smallest frame that the text implies. Blocks
//! that are the host's own code (`if hasattr(module, "Pipe")`, the routers and models of seed 003) are no examples.

mod filters;
mod pipes;
mod reference;
mod requirements;
mod tools;

use std::collections::BTreeSet;

use crate::support::{FakeUpstream, Seed, TestGateway};

/// Every example: seed, heading, and which block below it.
const EXAMPLES: &[(&str, &str, usize)] = &[
    ("000", "Valve Implementation", 0),
    ("000", "Frontmatter Dependency Installation", 0),
    ("000", "Function Implementation", 0),
    ("000", "Valve Configuration", 0),
    ("001", "Frontmatter fields", 0),
    ("001", "Event hooks", 0),
    ("001", "Streaming responses", 0),
    ("001", "Creating a pipe", 0),
    ("001", "Manifold pipes", 0),
    ("002", "The `pipe()` Method", 0),
    ("002", "The `pipe()` Method", 1),
    ("002", "The `pipes()` Method", 0),
    ("002", "The `pipes()` Method", 1),
    ("002", "Pipe Plugin Creation Example", 0),
    ("003", "10.2 Custom Functions (Python)", 0),
    ("004", "Filters Guide", 0),
    ("004", "Loading and frontmatter", 0),
    ("004", "Configuration via Valves", 0),
    ("004", "Example", 0),
];

/// How the code of functions begins some line, the host's own code none.
const BEGINNINGS: &[&str] = &[
    "class Pipe",
    "class Filter",
    "class Action",
    "class Tools",
    "class Valves",
    "class UserValves",
    "async def pipe",
    "def pipe",
    "async def inlet",
    "def inlet",
    "# User writes function",
];

#[test]
fn every_example_of_a_function_is_in_the_table() {
    for number in ["000", "001", "002", "003", "004"] {
        let Some(seed) = Seed::open(number) else {
            return;
        };
        let known = EXAMPLES.iter().filter(|(seed, ..)| *seed == number);
        let known: BTreeSet<_> = known
            .map(|(_, heading, index)| ((*heading).to_owned(), *index))
            .collect();
        let found = seed
            .blocks()
            .into_iter()
            .filter(|(_, code)| is_example(code));
        let found: BTreeSet<_> = found.map(|(place, _)| place).collect();
        assert_eq!(found, known, "seed {number}");
    }
}

fn is_example(code: &str) -> bool {
    let begins = |line: &str| {
        BEGINNINGS
            .iter()
            .any(|beginning| line.starts_with(beginning))
    };
    code.starts_with("\"\"\"\n") || code.lines().any(begins)
}

/// A gateway without a model server.
async fn gateway() -> TestGateway {
    TestGateway::setup().python().start().await
}

/// A gateway before a model server.
async fn gateway_before(upstream: &FakeUpstream) -> TestGateway {
    let setup = TestGateway::setup().python();
    setup.upstream("fake", &upstream.base_url()).start().await
}
