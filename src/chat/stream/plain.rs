//! A stream that no filter sees: whole events leave as they came.

use bytes::Bytes;

use super::unfinished;
use crate::body::Body;
use crate::chat::Contract;
use crate::chat::chain::Chain;
use crate::error::{Error, Kind, Result};
use crate::wire::openai;
use crate::wire::sse::EventEnds;

/// A stream passed on. Only the unfinished tail of an event waits, so that a cut never lets half an event out.
pub(super) struct Plain {
    // Keeps the generation until the last byte.
    chain: Chain,
    body: Body,
    ends: EventEnds,
    contract: Contract,
    is_over: bool,
}

impl Plain {
    pub(super) fn new(chain: Chain, body: Body, contract: Contract) -> Self {
        Self {
            chain,
            body,
            ends: EventEnds::new(),
            contract,
            is_over: false,
        }
    }

    /// The next whole events.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes>> {
        while !self.is_over {
            match self.body.next().await {
                Some(Ok(piece)) => match self.ends.push(piece) {
                    Ok(Some(events)) => return Some(Ok(events)),
                    Ok(None) => {}
                    Err(error) => {
                        return Some(Err(Error::new(Kind::UpstreamInvalid, error.to_string())));
                    }
                },
                Some(Err(error)) => return Some(Err(error)),
                None => return self.end(),
            }
        }
        None
    }

    /// The clean end: the rest as it came, or an error where nothing said that the answer is finished.
    fn end(&mut self) -> Option<Result<Bytes>> {
        self.is_over = true;
        // Before the questions below: an unterminated end marker counts only then.
        let rest = self.ends.finish();
        let usage = self
            .ends
            .last_data()
            .and_then(|data| openai::usage_of(&data));
        if let Some(usage) = usage {
            self.chain.log.set_tokens(usage.prompt, usage.completion);
        }
        let is_finished = self.ends.saw_done() || self.ends.saw_finish_reason();
        match unfinished(self.contract, is_finished) {
            Some(error) => Some(Err(error)),
            None => rest.map(Ok),
        }
    }
}
