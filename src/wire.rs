//! Bytes of the protocols on the wire and the values they stand for; no tokio, no IO, no clock.

pub mod json;
pub mod ollama;
pub mod openai;
pub mod openwebui;
pub mod percent;
pub mod sse;
