//! R09: all faults at random, for as long as one likes: `make soak`.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::time::Instant;

use crate::PATIENCE;
use crate::faults::rig::http2::{Http2, RST_STREAM, frame, post};
use crate::faults::rig::{Random, Raw, Rig, chat_request};
use crate::support::{
    FakeUpstream, Recorded, Script, Step, TestGateway, answer_of, chat, event, events_of,
    eventually, say, source_with, streamed, streamed_chat,
};

/// Seconds; `make soak` says 900.
const VARIABLE: &str = "SLUICEGATE_SOAK_SECONDS";
const USUAL: u64 = 30;
/// How much more memory the last third may need than the second.
const GROWTH_KIB: u64 = 2 * 1024;
/// Faults between two looks at the memory.
const ROUND: usize = 50;

/// Does what the last message says.
fn respond(request: &Recorded) -> Script {
    let text = request.last_text();
    let Some((what, number)) = text.split_once(' ') else {
        return answer_of("fine");
    };
    let number: usize = number.parse().unwrap_or(0);
    let whole = streamed(events_of(&["one", "two", "three"]));
    let sent = |step: Step| match step {
        Step::Send(bytes) => bytes,
        _ => Vec::new(),
    };
    let bytes: Vec<u8> = whole.into_iter().flat_map(sent).collect();
    let at = number % bytes.len();
    match what {
        "cut" => vec![Step::Send(bytes[..at].to_vec()), Step::Close],
        "reset" => vec![Step::Send(bytes[..at].to_vec()), Step::Reset],
        "hang" => vec![Step::Send(bytes[..at].to_vec()), Step::Hang],
        "noise" => streamed([Random::from(number).bytes(2000)]),
        "flood" => vec![
            Step::Send(sent(crate::support::head_of_stream())),
            Step::Flood(sent(event("data: {}\n\n"))),
        ],
        _ => answer_of("fine"),
    }
}

/// One fault, whatever it is. What is answered must be an answer.
async fn one_fault(rig: &Rig, random: &mut Random) {
    let (address, number) = (rig.gateway.address, random.below(100_000));
    let client = rig.gateway.user();
    match random.below(10) {
        what @ 0..=2 => {
            let what = ["cut", "reset", "noise"][what];
            let answer = client
                .chat(&streamed_chat("echo", &format!("{what} {number}")))
                .await;
            let is_told =
                answer.status == 502 || answer.status == 200 && answer.text().contains("\"error\"");
            assert!(
                is_told || answer.text().contains("[DONE]"),
                "{what} {number}: {}",
                answer.text()
            );
        }
        what @ 3..=4 => {
            let text = format!("{} {number}", ["hang", "flood"][what - 3]);
            let mut raw = Raw::connect(address).await;
            raw.send(chat_request("", &streamed_chat("echo", &text)))
                .await;
            raw.reads_within(Duration::from_millis(20)).await;
            raw.reset();
        }
        5 => {
            let request = chat_request("", &chat("echo", "hi"));
            let mut raw = Raw::connect(address).await;
            raw.send(&request[..number % request.len()]).await;
        }
        6 => {
            let mut request = chat_request("Connection: close\r\n", &chat("echo", "hi"));
            let at = number % request.len();
            request[at] ^= 1 << random.below(8);
            let mut raw = Raw::connect(address).await;
            raw.send(&request).await;
            raw.reads_within(Duration::from_millis(100)).await;
        }
        7 => {
            let mut connection = Http2::connect(address, &[]).await;
            let body = chat("echo", "hi").to_string();
            for number in 0..20 {
                let reset = frame(RST_STREAM, 0, 2 * number + 1, &8_u32.to_be_bytes());
                let request = post(2 * number + 1, "/v1/chat/completions", body.as_bytes());
                connection.send([request, reset].concat()).await;
            }
        }
        8 => {
            let management = rig.gateway.management();
            management
                .set_valves("stamp", &json!({"number": number}))
                .await
                .expect(200);
            let code = source_with("stamp", &[("CODE", &number.to_string())]);
            management.update("stamp", &code).await.expect(200);
        }
        _ => {
            client.chat(&chat("echo", "hi")).await.expect(200);
        }
    }
}

fn kill_a_worker(rig: &Rig) {
    if let Some(worker) = rig.gateway.process().descendants().last() {
        let id = Pid::from_raw(i32::try_from(worker.0).unwrap()).unwrap();
        // It may have ended by itself.
        let _ = kill_process(id, Signal::KILL);
    }
}

#[tokio::test]
#[ignore = "takes as long as one likes: `make soak`"]
async fn r09_all_faults_at_random_leave_nothing_behind() {
    let seconds = std::env::var(VARIABLE)
        .ok()
        .and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(USUAL));
    let stamp = source_with("stamp", &[]);
    let setup = TestGateway::setup()
        .python()
        .tables("[function.stamp]\nglobal = false\nmodels = [\"echo\"]");
    let rig = Rig::with(setup, FakeUpstream::start(respond).await).await;
    rig.gateway.management().install("stamp", &stamp).await;
    rig.gateway
        .user()
        .chat(&chat("echo", "hi"))
        .await
        .expect(200);
    let process = rig.gateway.process();
    // A few connections to the model server more or less are kept for the next requests.
    let before = (process.descriptors() + 32, process.descendants().len() + 1);
    let mut random = Random::seeded();
    let (mut sizes, mut faults) = (Vec::new(), 0);
    while Instant::now() < until {
        for _ in 0..ROUND {
            one_fault(&rig, &mut random).await;
            faults += 1;
        }
        if random.below(10) == 0 {
            kill_a_worker(&rig);
            let served = async || {
                let answer = rig.gateway.user().chat(&chat("echo", "hi")).await;
                (answer.status == 200).then_some(())
            };
            eventually(PATIENCE, "an answer after a kill", served).await;
        }
        sizes.push(rig.gateway.process().rss_kib());
    }
    let third = (sizes.len() / 3).max(1);
    let peak = |sizes: &[u64]| sizes.iter().copied().max().unwrap_or_default();
    let (second, last) = (peak(&sizes[third..2 * third]), peak(&sizes[2 * third..]));
    say(&format!(
        "faults: r09: {faults} faults, peaks of {} KiB, {second} KiB and {last} KiB by thirds",
        peak(&sizes[..third])
    ));
    assert!(
        last <= second + GROWTH_KIB,
        "{second} KiB grew to {last} KiB: {sizes:?}"
    );
    let look = async || {
        let is_back = process.descriptors() <= before.0 && process.descendants().len() <= before.1;
        is_back.then_some(())
    };
    eventually(
        PATIENCE,
        "descriptors and processes to be what they were",
        look,
    )
    .await;
}
