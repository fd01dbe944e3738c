//! One who plays faults at random, each time another.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::ledger::Ledger;
use crate::faults::rig::http2::{Http2, RST_STREAM, frame, post};
use crate::faults::rig::{Random, Raw, chat_request};
use crate::support::{Client, Management, TestGateway, chat, source_with, streamed_chat};

/// What any call of a function may meet, because its process was killed a moment ago or too often.
const KILLED: [&str; 2] = ["function_crashed", "function_unavailable"];
/// What any change of a function may meet, because the process that tried it was killed.
const KILLED_TRIAL: [&str; 3] = ["whole", "400", "503"];
/// How many slow readers each player has.
const READERS: usize = 3;

/// A client that misbehaves, calls a server that does, and changes functions meanwhile.
pub(super) struct Player {
    number: usize,
    address: SocketAddr,
    user: Client,
    management: Management,
    random: Random,
    ledger: Arc<Ledger>,
    readers: VecDeque<Raw>,
}

impl Player {
    /// The player of this number, which gives its seed.
    pub(super) fn new(number: usize, gateway: &TestGateway, ledger: &Arc<Ledger>) -> Self {
        let mut seeds = Random::seeded();
        let seed = (0..=number).map(|_| seeds.below(usize::MAX)).last();
        Self {
            number,
            address: gateway.address,
            user: gateway.user(),
            management: gateway.management(),
            random: Random::from(seed.unwrap_or_default()),
            ledger: Arc::clone(ledger),
            readers: VecDeque::new(),
        }
    }

    /// Plays until the time is over; gives how many faults that were.
    pub(super) async fn play_until(mut self, until: Instant) -> usize {
        let mut faults = 0;
        while Instant::now() < until {
            self.play().await;
            faults += 1;
        }
        faults
    }

    async fn play(&mut self) {
        match self.random.below(40) {
            0..=11 => self.faulty_server().await,
            12..=17 => self.leave().await,
            18..=20 => self.half_a_request().await,
            21..=24 => self.flipped_bit().await,
            25..=27 => self.resets_of_http2().await,
            28..=30 => self.slow_reader().await,
            31 => self.misdeed().await,
            // Writers at once are another row.
            32..=34 if self.number == 0 => self.swap().await,
            35 if self.number == 0 => self.come_and_go().await,
            _ => self.plain().await,
        }
    }

    /// The model server breaks off, or talks nonsense.
    async fn faulty_server(&mut self) {
        let (what, expected): (_, &[&str]) = match self.random.below(4) {
            0 => ("cut", &["upstream_cut", "upstream_invalid", "whole"]),
            1 => ("reset", &["upstream_cut", "upstream_invalid", "whole"]),
            2 => (
                "noise",
                &["upstream_cut", "upstream_invalid", "function_error"],
            ),
            _ => ("whole", &["whole"]),
        };
        let text = format!("{what} {}", self.random.below(100_000));
        let answer = self.user.chat(&streamed_chat("echo", &text)).await;
        self.ledger
            .note(what, &answer, &[expected, &KILLED].concat());
    }

    /// The client leaves a server that hangs, or that does not stop.
    async fn leave(&mut self) {
        let what = ["hang", "flood"][self.random.below(2)];
        let text = format!("{what} {}", self.random.below(100_000));
        let mut raw = Raw::connect(self.address).await;
        raw.send(chat_request("", &streamed_chat("echo", &text)))
            .await;
        raw.reads_within(Duration::from_millis(20)).await;
        raw.reset();
        self.ledger.count("left", what.to_owned());
    }

    async fn half_a_request(&mut self) {
        let request = chat_request("", &chat("echo", "hi"));
        let mut raw = Raw::connect(self.address).await;
        let at = self.random.below(request.len());
        raw.send(&request[..at]).await;
        self.ledger.count("half a request", String::new());
    }

    async fn flipped_bit(&mut self) {
        let mut request = chat_request("Connection: close\r\n", &chat("echo", "hi"));
        let at = self.random.below(request.len());
        request[at] ^= 1 << self.random.below(8);
        let mut raw = Raw::connect(self.address).await;
        raw.send(&request).await;
        raw.reads_within(Duration::from_millis(100)).await;
        self.ledger.count("flipped bit", String::new());
    }

    async fn resets_of_http2(&mut self) {
        let mut connection = Http2::connect(self.address, &[]).await;
        let body = chat("echo", "hi").to_string();
        for number in 0..20 {
            let reset = frame(RST_STREAM, 0, 2 * number + 1, &8_u32.to_be_bytes());
            let request = post(2 * number + 1, "/v1/chat/completions", body.as_bytes());
            connection.send([request, reset].concat()).await;
        }
        self.ledger.count("resets of HTTP/2", String::new());
    }

    /// One more reader that takes next to nothing; each reads a little, and the oldest leaves.
    async fn slow_reader(&mut self) {
        let mut raw = Raw::connect_narrow(self.address).await;
        raw.send(chat_request("", &streamed_chat("echo", "flood 0")))
            .await;
        self.readers.push_back(raw);
        for reader in &mut self.readers {
            reader.reads_within(Duration::from_millis(5)).await;
        }
        if self.readers.len() > READERS {
            self.readers.pop_front().into_iter().for_each(Raw::reset);
        }
        self.ledger.count("slow reader", String::new());
    }

    /// A function ends its process, loops or waits for ever.
    async fn misdeed(&mut self) {
        let (deed, expected) = match self.random.below(6) {
            0 => ("exit", "function_crashed"),
            1 => ("loop", "function_timeout"),
            2 => ("wait", "function_timeout"),
            _ => ("nothing", "whole"),
        };
        let answer = self.user.chat(&chat("danger", deed)).await;
        // A call beside one that ends or loops shares its process.
        let beside = [expected, KILLED[0], KILLED[1], "function_timeout"];
        self.ledger.note(deed, &answer, &beside);
    }

    /// Code and valves change; a version that does not load changes nothing.
    async fn swap(&mut self) {
        let number = self.random.below(100_000);
        let valves = json!({"number": number});
        let answer = self.management.set_valves("stamp", &valves).await;
        self.ledger.note("valves", &answer, &KILLED_TRIAL);
        let code = source_with("stamp", &[("CODE", &number.to_string())]);
        let answer = self.management.update("stamp", &code).await;
        self.ledger.note("code", &answer, &KILLED_TRIAL);
        let answer = self.management.update("stamp", "class Filter(").await;
        self.ledger.note("broken code", &answer, &KILLED_TRIAL[1..]);
    }

    /// A function is installed, and removed again.
    async fn come_and_go(&mut self) {
        let code = source_with("stamp", &[]);
        let answer = self.management.create("guest", &code).await;
        self.ledger.note("create", &answer, &KILLED_TRIAL);
        let answer = self.management.delete("guest").await;
        self.ledger.note("delete", &answer, &["whole", "404"]);
    }

    async fn plain(&mut self) {
        let answer = self.user.chat(&chat("echo", "hi")).await;
        self.ledger
            .note("plain", &answer, &[&["whole"], &KILLED[..]].concat());
    }
}
