//! The check of raw heads: no split changes its judgement, and what it passes is read alike behind it.

use httparse::{EMPTY_HEADER, Request, Status};
use sluicegate::server::{HeadCheck, Phase, Verdict};

use super::splits;

/// More fields than the check lets through.
const FIELDS: usize = 128;

/// What is known of a connection after its bytes: how many were good, and where it stands then.
type Seen = (usize, u64, bool, Option<Phase>);

/// Reads `bytes` as what comes over a connection.
pub fn check(bytes: &[u8]) {
    let expected = fed(&[bytes]);
    for split in splits(bytes) {
        assert_eq!(fed(&split), expected);
    }
    if let Some(end) = end_of_head(bytes) {
        read_behind(&bytes[..end]);
    }
}

fn fed(pieces: &[&[u8]]) -> Seen {
    let mut check = HeadCheck::new();
    let mut start = 0;
    for piece in pieces {
        if let Verdict::Refuse { at } = check.feed(piece) {
            assert!(at < piece.len(), "the refused byte is one of them");
            assert_eq!(
                check.feed(b"GET / HTTP/1.1\r\n"),
                Verdict::Refuse { at: 0 },
                "nothing follows"
            );
            return (start + at, check.messages(), check.is_http2(), None);
        }
        start += piece.len();
    }
    (
        start,
        check.messages(),
        check.is_http2(),
        Some(check.phase()),
    )
}

/// Where the first request's head ends, if the check lets it through.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut check = HeadCheck::new();
    let mut began = false;
    for (at, byte) in bytes.iter().enumerate() {
        if check.feed(std::slice::from_ref(byte)) != Verdict::Pass || check.is_http2() {
            return None;
        }
        began |= check.phase() == Phase::InHead;
        if began && check.phase() != Phase::InHead {
            // A blank line before the request may end what has begun.
            let has_text = bytes[..at].iter().any(|byte| !b"\r\n".contains(byte));
            return has_text.then_some(at + 1);
        }
    }
    None
}

/// The parser behind the check takes exactly this head, no byte more or less, and sees one way to its body's end.
fn read_behind(head: &[u8]) {
    let mut fields = [EMPTY_HEADER; FIELDS];
    let mut request = Request::new(&mut fields);
    let parsed = request.parse(head);
    assert_eq!(
        parsed,
        Ok(Status::Complete(head.len())),
        "{}",
        head.escape_ascii()
    );
    let count = |name: &str| {
        request
            .headers
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name))
            .count()
    };
    assert!(count("content-length") + count("transfer-encoding") <= 1);
    assert!(count("host") <= 1 && (count("host") == 1 || request.version == Some(0)));
    let lines = head
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty());
    assert_eq!(
        lines.count(),
        request.headers.len() + 1,
        "no field was folded or skipped"
    );
}
