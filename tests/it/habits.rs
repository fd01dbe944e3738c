//! The habits of 648 functions of the community, each in a function of `tests/functions/habits` written in its
//! style: what they do besides answering works here too, or fails in words that say what to do.
//!
//! | habit | function | where |
//! |---|---|---|
//! | prints | `printing` | `output` |
//! | keeps things in its module | `remembering` | `state` |
//! | sets up logging, adds handlers | `logging_along` | `output` |
//! | reads and writes `os.environ` | `environment` | `state` |
//! | writes a request's values on `self`, sync | `on_self` | `state` |
//! | the same, async: shared as in the real product | `on_self_later` | `state` |
//! | raises in a handler | `raising` | `state` |
//! | blocks in an async handler | `blocking`, `own_host` | `tasks`, `world` |
//! | `to_thread`, `run_in_executor`, own threads | `in_threads` | `tasks` |
//! | `create_task` that outlives the answer | `outliving` | `tasks` |
//! | `__metadata__` as a side channel | `noting`, `reading_notes`, `repeating` | `state` |
//! | writes files, `./data`, a hard-coded folder | `writing_files` | `state` |
//! | `sqlite3` | `in_sqlite`, `beginning` | `state`, `environment` |
//! | handles `CancelledError`, `GeneratorExit` | `cleaning_up` | `tasks` |
//! | looks up siblings in `sys.modules` | `asking_sibling`, `helping` | `world` |
//! | opens files and databases, touches the loop in `__init__` | `beginning` | `environment` |
//! | calls its own host | `own_host` | `world` |
//! | sync, needs the running loop | `on_the_loop` | `tasks` |
//! | sync, calls `asyncio.run` | `running_loops` | `tasks` |
//! | `ContextVar` | `in_context` | `state` |
//! | looks at frames and sources | `looking` | `output` |
//! | pip at run time | `installing` | `environment` |
//! | programs, forked processes | `starting_programs` | `environment` |
//! | downloads at first use | `fetching_words` | `environment` |
//! | the module's `__doc__` in the class body | `documented` | `output` |
//! | `HTMLResponse` from a tool | `showing_cards` | `cards` |
//! | tells by events of every type, asks the browser | `telling`, `telling_along`, `calling` | `events` |
//! | stands before a model server, in every form of answer | `passing_on` | `pipes` |
//! | user valves in every spelling, validators, `create_model` | `users_wishes` | `shapes` |
//! | inherited handlers, half letters | `inheriting` | `shapes` |
//! | no handler at all, junk in the head | `marker` | `shapes` |
//! | turns streaming on or off | `choosing_stream` | `shapes` |

mod cards;
mod environment;
mod events;
mod output;
mod pipes;
mod shapes;
mod state;
mod tasks;
mod world;

use crate::support::{Answer, Client, FakeUpstream, Setup, TestGateway, chat, source, source_with};

/// The code of a function of that folder, with its constants set.
fn habit(name: &str, constants: &[(&str, u16)]) -> String {
    let ports: Vec<_> = constants
        .iter()
        .map(|(name, port)| (*name, port.to_string()))
        .collect();
    let constants: Vec<_> = ports
        .iter()
        .map(|(name, port)| (*name, port.as_str()))
        .collect();
    source_with(&format!("habits/{name}"), &constants)
}

/// A gateway with these functions in its folder, not yet started.
fn setup_with(names: &[&str]) -> Setup {
    let setup = TestGateway::setup().python();
    let put = |setup: Setup, name: &&str| setup.function(name, &source(&format!("habits/{name}")));
    names.iter().fold(setup, put)
}

/// A gateway with these filters before a model server.
async fn gateway_with(upstream: &FakeUpstream, names: &[&str]) -> TestGateway {
    setup_with(names)
        .upstream("fake", &upstream.base_url())
        .start()
        .await
}

/// Asks the model server through the filters; its answer.
async fn ask(client: &Client, text: &str) -> Answer {
    client.chat(&chat("echo", text)).await
}

/// The text of that answer, without the server's `echo: `.
async fn told(client: &Client, text: &str) -> String {
    let content = ask(client, text).await.expect(200).content();
    content
        .strip_prefix("echo: ")
        .expect("the server echoes")
        .to_owned()
}
