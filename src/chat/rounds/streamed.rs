//! The tool loop on a stream: text passes on as it comes, calls are held back and answered here.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use serde_json::Value;

use super::Rounds;
use crate::body::Body;
use crate::error::{Error, Kind, Result};
use crate::upstream::Reply;
use crate::wire::json::Document;
use crate::wire::openai::{self, AnswerText};
use crate::wire::sse::{Decoder, Event};

/// A stream whose calls are answered by rounds. What the client gets is one answer, with the id of the first.
pub(super) struct Streamed {
    rounds: Rounds,
    body: Body,
    decoder: Decoder,
    answer: AnswerText,
    /// The members that all chunks of one answer share, as the first round's had them.
    head: Option<Vec<(&'static str, Value)>>,
    /// Whether the round is over and its calls wait to be answered.
    is_turn: bool,
    is_over: bool,
}

/// The members that all chunks of one answer share.
const SHARED: &[&str] = &["id", "created"];

impl Streamed {
    pub(super) fn new(rounds: Rounds, body: Body) -> Self {
        Self {
            rounds,
            body,
            decoder: Decoder::new(),
            answer: AnswerText::new(),
            head: None,
            is_turn: false,
            is_over: false,
        }
    }

    /// The bytes for the client.
    pub(super) fn pieces(self) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        stream::unfold(self, |mut streamed| async move {
            let piece = streamed.next().await?;
            Some((piece, streamed))
        })
    }

    async fn next(&mut self) -> Option<Result<Bytes>> {
        while !self.is_over {
            match self.advance().await {
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => return Some(Ok(piece)),
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    /// Takes the next piece of the model's stream, or begins the next round; gives back what is for the client.
    async fn advance(&mut self) -> Result<Bytes> {
        if self.is_turn {
            self.is_turn = false;
            self.turn().await?;
        }
        let mut out = BytesMut::new();
        match self.body.next().await.transpose()? {
            Some(piece) => {
                let pushed = self.decoder.push(piece);
                pushed.map_err(|error| Error::new(Kind::UpstreamInvalid, error.to_string()))?;
                while !self.is_turn
                    && let Some(event) = self.decoder.next_event()
                {
                    self.take(&event, &mut out);
                }
            }
            None => {
                if let Some(rest) = self.decoder.finish() {
                    self.take(&rest, &mut out);
                }
                self.is_turn |= self.calls();
                if self.is_turn && self.answer.finish_reason().is_none() {
                    // What would run is not what the model meant.
                    return Err(Error::new(
                        Kind::UpstreamCut,
                        "the upstream's stream ended within a call of a tool",
                    ));
                }
                self.is_over = !self.is_turn;
            }
        }
        Ok(out.freeze())
    }

    /// Puts what the client is to see of an event into `out`.
    fn take(&mut self, event: &Event, out: &mut BytesMut) {
        let data = match &event.data {
            Some(data) if self.rounds.left > 0 => data,
            _ => return self.pass(event, out),
        };
        if event.is_done() {
            // What the model has said so far reaches the client before the tools run.
            self.is_turn = self.calls();
            if !self.is_turn {
                out.extend_from_slice(&event.raw);
            }
            return;
        }
        self.answer.push(data);
        if !self.calls() {
            self.pass(event, out);
        } else if let Some(text) = without_calls(data) {
            self.pass(
                &Event::parse(event.with_data(text.to_string().as_bytes())),
                out,
            );
        }
    }

    /// Whether the model has called tools in this round.
    fn calls(&self) -> bool {
        self.rounds.left > 0 && self.answer.calls_tools()
    }

    /// Passes an event on; those of later rounds get the id of the first.
    fn pass(&mut self, event: &Event, out: &mut BytesMut) {
        let document = event
            .data
            .clone()
            .and_then(|data| Document::parse(data).ok());
        let (Some(document), Some(head)) = (document, &self.head) else {
            out.extend_from_slice(&event.raw);
            return;
        };
        let mut edit = document.edit();
        for (key, value) in head {
            edit.set(key, value.to_string().into());
        }
        out.extend_from_slice(&event.with_data(&edit.finish()));
    }

    /// Answers the calls of the round that is over and takes the next reply up.
    async fn turn(&mut self) -> Result<()> {
        let answer = std::mem::take(&mut self.answer);
        if self.head.is_none() {
            let first: Value =
                serde_json::from_slice(&openai::events_to_answer(&answer)).unwrap_or_default();
            let shared = SHARED.iter().map(|key| (*key, first[*key].clone()));
            self.head = Some(shared.filter(|(_, value)| !value.is_null()).collect());
        }
        self.decoder = Decoder::new();
        self.body = match self.rounds.turn(answer.assistant_message()).await? {
            Reply::Stream(stream) => stream.body,
            Reply::Whole(answer) => {
                let whole = Document::parse(answer.body).map_err(|error| {
                    Error::new(
                        Kind::UpstreamInvalid,
                        format!("the answer is not valid JSON: {error}"),
                    )
                })?;
                Body::whole(openai::answer_to_events(&whole).concat())
            }
        };
        Ok(())
    }
}

/// What is left of a chunk for the client: its text, without calls and without the end that they cause.
fn without_calls(data: &[u8]) -> Option<Value> {
    let mut chunk: Value = serde_json::from_slice(data).ok()?;
    let choice = chunk.pointer_mut("/choices/0")?;
    let delta = choice.get_mut("delta")?.as_object_mut()?;
    delta.shift_remove("tool_calls");
    let has_text = delta
        .iter()
        .any(|(key, value)| key != "role" && value.as_str().is_some_and(|text| !text.is_empty()));
    choice["finish_reason"] = Value::Null;
    has_text.then_some(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_chunk_passes_and_its_calls_do_not() {
        let chunk = br#"{"id":"x","choices":[{"delta":{"content":"hm","tool_calls":[{"index":0}]},"finish_reason":"tool_calls"}]}"#;
        let left = without_calls(chunk).unwrap();
        assert_eq!(
            left.to_string(),
            r#"{"id":"x","choices":[{"delta":{"content":"hm"},"finish_reason":null}]}"#
        );
        let calls = br#"{"choices":[{"delta":{"role":"assistant","tool_calls":[{"index":0}]}}]}"#;
        assert!(without_calls(calls).is_none());
        assert!(without_calls(br#"{"choices":[],"usage":{}}"#).is_none());
    }
}
