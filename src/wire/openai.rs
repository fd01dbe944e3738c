//! The shapes of OpenAI's chat completions: chunks, whole answers, errors, model lists.

mod answer;
mod chunk;
mod convert;
mod error;
mod models;
mod usage;

pub use answer::AnswerText;
pub(super) use chunk::{Answer, write_answer};
pub use chunk::{ChunkMaker, Part, completion};
pub use convert::{answer_to_events, events_to_answer};
pub use error::{ErrorBody, detail, error_event};
pub use models::{ModelEntry, models_list};
pub use usage::{Usage, usage_of};

#[cfg(test)]
mod tests;
