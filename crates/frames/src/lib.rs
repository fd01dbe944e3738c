//! The protocol between the gateway and its Python workers: framed messages over a socket pair.
//!
//! A frame is a header of [`HEADER_BYTES`] bytes and a payload. All integers are little endian:
//!
//! | bytes | field | meaning |
//! |---|---|---|
//! | 4 | length | payload length in bytes, at most [`MAX_PAYLOAD_BYTES`] |
//! | 4 | id | what the frame is about: a slot, a request or a call, see [`Kind`] |
//! | 1 | kind | a [`Kind`] |
//! | 1 | flags | meaning depends on the kind: an [`Item`] for `Chunk`, a [`Source`] for `Log` |
//! | 2 | handler | a [`Handler`] for `Call`, else 0 |
//!
//! Three kinds of ids are chosen by the gateway and unique within one worker:
//! a *slot* is one loaded function version, a *request* is one function's part in one client request
//! (opened before its first call, closed after its last), a *call* is one invocation of a handler.
//! A *callback* id is chosen by the worker.
//!
//! Payloads are JSON unless said otherwise. `?` marks members that may be absent.
//!
//! # Failure
//!
//! `Failed` and `Error` carry `{"type", "message", "status"?, "detail"?, "traceback"?}`: the exception's class
//! name, its text, for exceptions that carry one the HTTP status and detail, and the traceback for the log.

mod batch;
mod codec;
mod opening;
pub mod texts;

pub use batch::Batch;
pub use codec::{DecodeError, Decoder, Frame, encode};
pub use opening::{Opening, Places, Told};

/// Size of a frame's header in bytes.
pub const HEADER_BYTES: usize = 12;

/// Longest payload either side accepts, in bytes; a longer one ends the connection.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024 * 1024;

/// Credit a pipe call has before it needs a `Credit` frame. It may send while it has any; [`chunk_cost`] says what a
/// chunk takes of it.
pub const INITIAL_CREDIT: u32 = 64;

/// Bytes of a chunk that take one more of the credit.
pub const CREDIT_BYTES: usize = 64 * 1024;

/// How much credit a chunk with so many bytes of payload takes: long ones must not fill the gateway's memory.
#[must_use]
pub fn chunk_cost(payload_bytes: usize) -> u32 {
    u32::try_from(payload_bytes / CREDIT_BYTES).map_or(u32::MAX, |more| more.saturating_add(1))
}

/// Flags of a `Callback` whose answer is not wanted any more.
pub const GIVEN_UP: u8 = 1;

macro_rules! wire_enum {
    ($(#[$meta:meta])* $name:ident: $repr:ty { $($(#[$variant_meta:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr($repr)]
        pub enum $name {
            $($(#[$variant_meta])* $variant = $value,)+
        }

        impl $name {
            /// The value that stands for this variant on the wire.
            #[must_use]
            pub const fn code(self) -> $repr {
                self as $repr
            }

            /// The variant with this value on the wire, if there is one.
            #[must_use]
            pub const fn from_code(code: $repr) -> Option<Self> {
                match code {
                    $($value => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

wire_enum! {
    /// What a frame says. The first group travels to the worker, the second from it.
    Kind: u8 {
        /// Load a function. Id: slot. Payload: `{"function_id", "source", "threads"}`.
        /// Answered by `Ready` or `Failed` with the same id.
        Load = 1,
        /// A version of a function's stored valves. Id: slot. Payload: `{"version", "values"}`.
        /// Sent before the first `Open` that names the version; the highest version is the newest.
        Valves = 2,
        /// Valves versions that no request uses any more. Id: slot. Payload: `{"versions": [n, …]}`.
        Forget = 3,
        /// A request begins for one function. Id: request. Payload: an [`Opening`], which is not JSON as a whole.
        Open = 4,
        /// A request is over for one function: its context is dropped. Id: request. No payload.
        Close = 5,
        /// Call a handler. Id: call. Payload by [`Handler`].
        /// Answered by `Reply` or `Error`; a streamed pipe by any number of `Chunk` and one `End` or `Error`.
        Call = 6,
        /// Stop a call: cancel its task, close its generator. Id: call. No payload. The call is still answered
        /// (by an `Error` of type `CancelledError` where the cancel took effect).
        Cancel = 7,
        /// The gateway can take more chunks of a pipe call. Id: call. Payload: the credit, a `u32`, not JSON.
        Credit = 8,
        /// Are you there? Id: any, repeated in `Pong`.
        Ping = 9,
        /// Answer to a `Callback`. Id: callback. Payload: `{"result"}` or a failure under `"error"`.
        CallbackReply = 10,
        /// A slot is no longer needed. Id: slot. No payload.
        Unload = 11,
        /// What the process may do, before anything else. Id: call. Payload: see `sluicegate_worker/confinement.py`.
        /// Answered by `Reply` with what is in force.
        Confine = 12,
        /// Call `stream` of one function. Id: call. Payload: a [`Batch`]. Answered by `Reply` with [`texts`], as many as
        /// there are events: what became of each, empty where the handler dropped it; or by `Error`.
        Events = 13,

        /// A function was loaded. Id: slot. Payload: what the loader learnt, see `sluicegate_worker/loader.py`.
        Ready = 65,
        /// A function could not be loaded. Id: slot. Payload: a failure.
        Failed = 66,
        /// Answer to a `Call` or to `Events`. Id: call. Payload by [`Handler`] or kind.
        Reply = 67,
        /// A call failed. Id: call. Payload: a failure; for `Stream` also `"events"`, those finished before it;
        /// of several functions also what those before it made, see [`Handler::Inlet`].
        Error = 68,
        /// One item of a streamed pipe. Id: call. Flags: an [`Item`]. Payload by item.
        Chunk = 69,
        /// A streamed pipe is finished. Id: call. No payload.
        End = 70,
        /// A function emitted an event. Id: request. Payload: the event.
        Emit = 71,
        /// A function printed or logged. Id: slot, or `u32::MAX` if unknown. Flags: a [`Source`]. Payload: text.
        Log = 72,
        /// Answer to `Ping`.
        Pong = 73,
        /// A function asks the gateway for something. Id: callback. Payload: `{"request", "method", "arguments"}`;
        /// `request` is null for code that runs for none, as while a function is loaded or lists its models.
        /// Answered by a `CallbackReply`, for which the worker may stand still. Flags [`GIVEN_UP`], without payload:
        /// it wants the answer no longer.
        Callback = 74,
    }
}

wire_enum! {
    /// What a `Call` invokes, with the payload of the call and of its reply.
    Handler: u16 {
        /// Call `{"request", "body", "metadata"?}`, reply `{"body", "metadata"?}`. `body` travels without its
        /// `metadata` member, which the worker puts in before the handler runs. Absent `metadata` means unchanged
        /// since the other side last told of it.
        ///
        /// Several functions are called one after the other, here and in `Request`, `Stream` and `Outlet`, if
        /// `"requests": [n, …]` stands in the place of `request`: what one gives back is what the next is given, or,
        /// with `"observes": true`, all are given the same. Reply `{"seconds": [s, …], "body.0"?, "metadata.0"?,
        /// "body.1"?, …}` (`events.0`, … for `Stream`): how long each took, and what each made of what it was given,
        /// left out where that stayed as it was. Fewer `seconds` than functions say that those left were not called:
        /// no event was left, or the reply is long. An `Error` carries the members of a reply for those before the
        /// one that failed.
        Inlet = 1,
        /// As `Inlet`, the last hook before dispatch.
        Request = 2,
        /// Call `{"requests", "events": [object, …], "metadata"?}`, reply as said there; what became of events is a list
        /// of the same length, null where a handler dropped the event. One function is called by [`Kind::Events`].
        Stream = 3,
        /// As `Inlet`, but the metadata is not put into the body.
        Outlet = 4,
        /// Call `{"request", "body", "metadata"?, "stream", "files"?, "tools"?}`. Not streamed: reply `{"text"}`,
        /// `{"data"}` or `{"none": true}`. Streamed: chunks. `tools` is a list of `{"name", "method", "tool_id",
        /// "spec", "metadata"}`; the pipe calls one by a `Callback` with the method `tools.call` and the arguments
        /// `{"tool_id", "name", "parameters"}`, where `name` is the tool's `method`.
        Pipe = 5,
        /// The models of a manifold. Call `{"slot", "valves"}`, reply `{"models": [{"id", "name"}, …]}`.
        Pipes = 6,
        /// Call `{"request", "body", "id"?}`, reply `{"result"}`; `id` is one entry of an action that has several.
        Action = 7,
        /// Check values against the function's `Valves` (`UserValves` with `"user": true`).
        /// Call `{"slot", "values", "user"}`, reply `{"stored", "priority"}`: the values to store and the order
        /// of the function under them. Values that do not fit are an `Error`.
        CheckValves = 8,
        /// The JSON schema of `Valves` (`UserValves` with `"user": true`), with its options resolved.
        /// Call `{"slot", "user", "user_entry"}`, reply `{"spec"}`; `user_entry` is `__user__` of who asks.
        ValvesSpec = 9,
        /// A callable of a `Tools` class. Call `{"request", "name", "parameters", "messages"?}`, reply `{"result"}`.
        Tool = 10,
    }
}

wire_enum! {
    /// The form of one item of a streamed pipe.
    Item: u8 {
        /// UTF-8 text: a piece of the answer's content.
        Text = 0,
        /// A JSON object: one event as it stands.
        Data = 1,
        /// Bytes of the stream itself: one or more lines that begin with `data:`, blank lines trimmed.
        Raw = 2,
        /// JSON `{"status", "content_type"}`: the pipe returned a response of its own; its bytes follow as `Body`.
        Head = 3,
        /// Bytes of that response's body, to be passed on as they are.
        Body = 4,
    }
}

wire_enum! {
    /// Where a `Log` frame's text came from.
    Source: u8 {
        /// `print` and writes to standard output.
        Stdout = 0,
        /// Writes to standard error.
        Stderr = 1,
        /// Python's `logging`.
        Logging = 2,
    }
}
