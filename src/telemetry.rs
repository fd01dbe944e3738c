//! Logging: its set-up, and the one line that every request leaves.

mod lines;
pub mod metrics;

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tracing::field::Field;
use tracing::info;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use self::lines::Lines;
use self::metrics::Route;

/// Where the lines go, once logging is set up.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Sends log lines to standard error: text for people or JSON for machines, from `level` (or the filter in
/// `SLUICEGATE_LOG_LEVEL`'s own grammar) upwards. A second call changes nothing.
pub fn init(as_json: bool, level: &str) {
    // Without a thread there is no log, and soon nothing else either.
    let Ok(lines) = Lines::new(std::io::stderr()) else {
        return;
    };
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(LINES.get_or_init(|| lines).clone());
    // Fails only if logging is set up already, as in tests.
    let _ = if as_json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder
            .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .try_init()
    };
}

/// Waits, but not for long, until what was logged is written. To be called at the end of the process.
pub fn flush() {
    if let Some(lines) = LINES.get() {
        lines.flush();
    }
}

/// Writes a field on the one line that an event has, whatever stands in it.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    write!(OneLine(writer), "{value:?}")
}

/// Escapes what could begin a line of its own or command a terminal: names of models and the words of exceptions come
/// from anybody.
struct OneLine<'a, W>(&'a mut W);

impl<W: fmt::Write> fmt::Write for OneLine<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_unsafe = |char: char| char.is_control() || matches!(char, '\u{2028}' | '\u{2029}');
        let mut rest = text;
        while let Some(at) = rest.find(is_unsafe) {
            let (safe, from) = rest.split_at(at);
            let mut chars = from.chars();
            let escaped = chars.next().map(char::escape_default);
            write!(
                self.0,
                "{safe}{}",
                escaped.into_iter().flatten().collect::<String>()
            )?;
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Random bytes that one thread has in stock: the system is asked once for many ids.
struct RandomStock {
    bytes: [u8; RANDOM_STOCK_BYTES],
    used: usize,
}

const RANDOM_STOCK_BYTES: usize = 1024;

thread_local! {
    static RANDOM: RefCell<RandomStock> = const {
        RefCell::new(RandomStock { bytes: [0; RANDOM_STOCK_BYTES], used: RANDOM_STOCK_BYTES })
    };
}

impl RandomStock {
    fn take(&mut self) -> [u8; 16] {
        if self.used == RANDOM_STOCK_BYTES {
            // Without a source of randomness ids repeat, which only makes the log harder to read.
            let _ = getrandom::fill(&mut self.bytes);
            self.used = 0;
        }
        let mut taken = [0; 16];
        taken.copy_from_slice(&self.bytes[self.used..self.used + 16]);
        self.used += 16;
        taken
    }
}

/// Two hexadecimal digits for each byte.
const DIGITS: [[u8; 2]; 256] = digits();

/// Where the bytes of a UUID stand in its text.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

const fn digits() -> [[u8; 2]; 256] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        digits[byte] = [HEX[byte >> 4], HEX[byte & 15]];
        byte += 1;
    }
    digits
}

/// A fresh id for a request: a random UUID.
#[must_use]
pub fn request_id() -> Arc<str> {
    let mut bytes = RANDOM.with_borrow_mut(RandomStock::take);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = [b'-'; 36];
    for (byte, at) in bytes.into_iter().zip(PLACES) {
        text[at..at + 2].copy_from_slice(&DIGITS[usize::from(byte)]);
    }
    str::from_utf8(&text).unwrap_or_default().into()
}

/// What a function did to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran and changed nothing.
    Passed,
    /// It changed what it was given.
    Changed,
    /// It refused.
    Refused,
    /// It failed.
    Failed,
}

impl Outcome {
    /// That of a function which gave something back, the same or something else.
    #[must_use]
    pub const fn of(is_changed: bool) -> Self {
        match is_changed {
            true => Self::Changed,
            false => Self::Passed,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Changed => "changed",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The access line of one request. It is written when the last holder lets go of it, which is when the answer's last
/// byte was handed over or the client has gone.
#[derive(Debug)]
pub struct RequestLog {
    id: Arc<str>,
    method: String,
    path: String,
    route: Route,
    began: Instant,
    /// Whether the line will be written; what only it needs is not even noted otherwise.
    is_wanted: bool,
    /// Held for assignments only.
    facts: Mutex<Facts>,
}

#[derive(Debug, Default)]
struct Facts {
    generation: Option<u64>,
    caller: Option<String>,
    model: Option<String>,
    target: Option<String>,
    status: Option<u16>,
    code: Option<&'static str>,
    first_byte: Option<Duration>,
    tokens: Option<(u64, u64)>,
    functions: Vec<(String, &'static str, Outcome)>,
    function_errors: Vec<String>,
    is_complete: bool,
}

/// The status that the line shows for a client that left.
const CLIENT_GONE: u16 = 499;

impl RequestLog {
    /// Begins the line of a request.
    #[must_use]
    pub fn begin(id: Arc<str>, method: &str, path: &str, route: Route) -> Arc<Self> {
        let is_wanted = tracing::enabled!(target: "access", tracing::Level::INFO);
        let if_wanted = |text: &str| {
            if is_wanted {
                text.to_owned()
            } else {
                String::new()
            }
        };
        Arc::new(Self {
            id,
            method: if_wanted(method),
            path: if_wanted(path),
            route,
            began: Instant::now(),
            is_wanted,
            facts: Mutex::default(),
        })
    }

    /// Whether the line will be written, so that what only it tells is worth finding out.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Notes a text that only the line needs.
    fn note(&self, text: &str, place: impl FnOnce(&mut Facts) -> &mut Option<String>) {
        if self.is_wanted {
            *place(&mut self.facts()) = Some(text.to_owned());
        }
    }

    /// The request's id.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts
            .lock()
            .expect("no code that holds this lock panics")
    }

    /// Notes the generation of the configuration in which the request lives.
    pub fn set_generation(&self, generation: u64) {
        self.facts().generation = Some(generation);
    }

    /// The generation in which the request lives, once it has one.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        self.facts().generation
    }

    /// Notes who asks.
    pub fn set_caller(&self, id: &str) {
        self.note(id, |facts| &mut facts.caller);
    }

    /// Notes the model that was asked for.
    pub fn set_model(&self, id: &str) {
        self.note(id, |facts| &mut facts.model);
    }

    /// Notes the upstream or function that answers.
    pub fn set_target(&self, name: &str) {
        self.note(name, |facts| &mut facts.target);
    }

    /// Notes the status of the answer's head, and the code of the error if it is one.
    pub fn set_status(&self, status: u16, code: Option<&'static str>) {
        let mut facts = self.facts();
        facts.status = Some(status);
        facts.code = code;
        facts.first_byte.get_or_insert(self.began.elapsed());
    }

    /// Notes an error that came after the head.
    pub fn set_late_error(&self, code: &'static str) {
        self.facts().code = Some(code);
    }

    /// Notes what the answer cost.
    pub fn set_tokens(&self, prompt: u64, completion: u64) {
        self.facts().tokens = Some((prompt, completion));
    }

    /// Notes what a function did. What a hook did to earlier events of a stream is merged with what it does to later
    /// ones: the stronger word stands.
    pub fn function_ran(&self, id: &str, hook: &'static str, outcome: Outcome) {
        metrics::function_ran(id, hook, outcome);
        if !self.is_wanted {
            return;
        }
        let mut facts = self.facts();
        let known = facts
            .functions
            .iter_mut()
            .find(|(known, known_hook, _)| known == id && *known_hook == hook);
        match known {
            Some((_, _, known)) => {
                *known = if outcome == Outcome::Passed {
                    *known
                } else {
                    outcome
                }
            }
            None => facts.functions.push((id.to_owned(), hook, outcome)),
        }
    }

    /// Notes that a function failed without ending the request.
    pub fn function_error(&self, id: &str) {
        self.facts().function_errors.push(id.to_owned());
    }

    /// The functions that failed without ending the request, separated by commas.
    #[must_use]
    pub fn function_errors(&self) -> Option<String> {
        let facts = self.facts();
        (!facts.function_errors.is_empty()).then(|| facts.function_errors.join(","))
    }

    /// Notes that the whole answer was handed over.
    pub fn complete(&self) {
        self.facts().is_complete = true;
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        let facts = std::mem::take(
            self.facts
                .get_mut()
                .expect("no code that holds this lock panics"),
        );
        let duration = self.began.elapsed();
        let status = facts.status.filter(|_| facts.is_complete);
        metrics::request_over(self.route, status, duration, facts.first_byte);
        if !self.is_wanted {
            return;
        }
        let status = status.unwrap_or(CLIENT_GONE);
        let functions: Vec<String> = facts
            .functions
            .iter()
            .map(|(id, hook, outcome)| format!("{id}.{hook}={outcome}"))
            .collect();
        info!(
            target: "access",
            {
                request.id = %self.id,
                method = self.method,
                path = self.path,
                user.id = facts.caller,
                generation = facts.generation,
                model = facts.model,
                served_by = facts.target,
                status,
                error = facts.code,
                duration_ms = milliseconds(duration),
                first_byte_ms = facts.first_byte.map(milliseconds),
                prompt_tokens = facts.tokens.map(|(prompt, _)| prompt),
                completion_tokens = facts.tokens.map(|(_, completion)| completion),
                functions = functions.join(" ")
            },
            "request"
        );
    }
}

fn milliseconds(duration: Duration) -> f64 {
    // Tenths are enough for a log.
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_random_uuid() {
        let (one, other) = (request_id(), request_id());
        assert_ne!(one, other);
        let lengths: Vec<_> = one.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{one}");
        let is_digit = |char: char| char == '-' || matches!(char, '0'..='9' | 'a'..='f');
        assert!(one.chars().all(is_digit), "{one}");
        assert_eq!(one.as_bytes()[14], b'4', "{one}");
        assert!(b"89ab".contains(&one.as_bytes()[19]), "{one}");
    }

    #[test]
    fn nothing_in_a_field_ends_its_line() {
        let mut line = String::new();
        write!(OneLine(&mut line), "a\r\nb\u{1b}[2Jc\u{85}\u{2028}d\u{e9}").unwrap();
        assert_eq!(line, "a\\r\\nb\\u{1b}[2Jc\\u{85}\\u{2028}d\u{e9}");
    }
}
