//! One file for each target, each with the same function: `check` asserts what must hold for any bytes.

pub mod edit;
pub mod frames;
pub mod frontmatter;
pub mod head;
pub mod json;
pub mod ollama;
pub mod openai;
pub mod sse;

/// Ways to cut `bytes` into two or more pieces: every cut if they are short, a spread of cuts if not, and byte by byte.
fn splits(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    const PLACES: usize = 24;
    let step = bytes.len() / PLACES + 1;
    let mut splits: Vec<Vec<&[u8]>> = (0..=bytes.len())
        .step_by(step)
        .map(|cut| vec![&bytes[..cut], &bytes[cut..]])
        .collect();
    splits.push(bytes.chunks(1).collect());
    splits.push(bytes.chunks(7).collect());
    splits
}
