//! How many tokens an answer took.

use memchr::memmem;
use serde::Deserialize;

/// The tokens that a model server counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Those of the request.
    pub prompt: u64,
    /// Those of the answer.
    pub completion: u64,
    /// Both.
    pub total: u64,
}

#[derive(Deserialize)]
struct Reported {
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

/// The usage that a whole answer or a chunk reports. Where the word does not occur, the JSON is not
/// even read.
#[must_use]
pub fn usage_of(json: &[u8]) -> Option<Usage> {
    memmem::find(json, b"\"usage\"")?;
    let counts = serde_json::from_slice::<Reported>(json).ok()?.usage?;
    let prompt = counts.prompt_tokens.or(counts.input_tokens);
    let completion = counts.completion_tokens.or(counts.output_tokens);
    let parts = prompt.unwrap_or(0).saturating_add(completion.unwrap_or(0));
    let total = counts.total_tokens.or((parts > 0).then_some(parts))?;
    Some(Usage {
        prompt: prompt.unwrap_or(0),
        completion: completion.unwrap_or(0),
        total,
    })
}
