//! The habits of 648 functions of the community, each in a function of `tests/functions/habits` written in its
//! style: what they do besides answering works here too, or fails in words that say what to do.

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
