//! What no worker says that keeps to the protocol: behind it, somebody else speaks on its socket.

use std::fmt;

use frames::Kind;

/// How a worker broke the protocol. Its process is killed for it, and its calls have crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breach {
    /// A frame of a kind that only the gateway sends.
    NotForUs,
    /// An answer to something that was never asked.
    NeverAsked,
    /// An answer that does not go with what was asked.
    WrongAnswer,
    /// A piece of a stream beyond what there was credit for.
    NoCredit,
    /// Question after question, and none of the answers is read.
    ReadsNothing,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotForUs => "a frame that only the gateway sends",
            Self::NeverAsked => "an answer to something that was never asked",
            Self::WrongAnswer => "an answer that does not go with what was asked",
            Self::NoCredit => "more of a stream than there was credit for",
            Self::ReadsNothing => "questions without reading their answers",
        })
    }
}

impl std::error::Error for Breach {}

/// Whether a frame of kind `answer` answers one of kind `asked`.
pub(super) fn answers(answer: Kind, asked: Kind) -> bool {
    match asked {
        Kind::Load => matches!(answer, Kind::Ready | Kind::Failed),
        Kind::Ping => answer == Kind::Pong,
        _ => matches!(answer, Kind::Reply | Kind::Error | Kind::End),
    }
}
