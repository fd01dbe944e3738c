//! The model server of the soak: it breaks off, hangs and talks nonsense as the last message says.

use crate::faults::rig::Random;
use crate::support::{
    Recorded, Script, Step, answer_of, event, events_of, head_of_stream, streamed,
};

/// Does what the last message says, at the place that it says.
pub(super) fn respond(request: &Recorded) -> Script {
    let text = request.last_text();
    let Some((what, number)) = text.split_once(' ') else {
        return answer_of("fine");
    };
    let number: usize = number.parse().unwrap_or(0);
    let bytes: Vec<u8> = streamed(events_of(&["one", "two", "three"]))
        .into_iter()
        .flat_map(sent)
        .collect();
    let at = number % bytes.len();
    let half = Step::Send(bytes[..at].to_vec());
    match what {
        "cut" => vec![half, Step::Close],
        "reset" => vec![half, Step::Reset],
        "hang" => vec![half, Step::Hang],
        "whole" => vec![Step::Send(bytes)],
        "noise" => streamed([Random::from(number).bytes(2000)]),
        "flood" => vec![head_of_stream(), Step::Flood(sent(event("data: {}\n\n")))],
        _ => answer_of("fine"),
    }
}

fn sent(step: Step) -> Vec<u8> {
    match step {
        Step::Send(bytes) => bytes,
        _ => Vec::new(),
    }
}
