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

const KEY: &[u8] = b"\"usage\"";

#[derive(Deserialize)]
struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

/// What the last member called `usage` says. Only that member is read, not the answer around it; in a string the
/// closing quote of the key would have a backslash before it.
fn counts(json: &[u8]) -> Option<Counts> {
    let at = memmem::rfind(json, KEY)?;
    let value = json[at + KEY.len()..]
        .trim_ascii_start()
        .strip_prefix(b":")?;
    let mut reader = serde_json::Deserializer::from_slice(value);
    Option::<Counts>::deserialize(&mut reader).ok()?
}

/// The usage that a whole answer or a chunk reports. Where the word does not occur, the JSON is not
/// even read.
#[must_use]
pub fn usage_of(json: &[u8]) -> Option<Usage> {
    let counts = counts(json)?;
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
