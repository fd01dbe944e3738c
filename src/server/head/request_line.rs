//! The first line of a request.

use memchr::{memchr, memchr2};

use super::Malformed;
use super::field::is_authority;

const METHOD_LIMIT_BYTES: usize = 32;

/// What the first line says that the fields are held against.
#[derive(Debug, Default)]
pub(super) struct RequestLine {
    pub(super) version: Version,
    /// The authority of an absolute target, which `Host` has to repeat.
    pub(super) authority: Option<Box<[u8]>>,
}

/// The HTTP version a request claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    #[default]
    Http11,
}

/// Reads a first line, without its end.
pub(super) fn parse(line: &[u8]) -> Result<RequestLine, Malformed> {
    let (method, rest) = split_at_space(line)?;
    let (target, version) = split_at_space(rest)?;
    if !is_method(method) || !target.iter().all(|&byte| is_target_byte(byte)) {
        return Err(Malformed);
    }
    Ok(RequestLine {
        version: parse_version(version)?,
        authority: parse_target(target)?,
    })
}

fn split_at_space(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let space = memchr(b' ', line).ok_or(Malformed)?;
    Ok((&line[..space], &line[space + 1..]))
}

fn is_method(method: &[u8]) -> bool {
    let is_letter = |&byte: &u8| byte.is_ascii_uppercase() || byte == b'-';
    !method.is_empty()
        && method.len() <= METHOD_LIMIT_BYTES
        && method.iter().all(is_letter)
        // A tunnel is nothing that we could filter.
        && method != b"CONNECT"
}

/// Printable ASCII; a fragment never belongs on the wire.
fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

fn parse_version(version: &[u8]) -> Result<Version, Malformed> {
    match version {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        _ => Err(Malformed),
    }
}

/// The authority of an absolute target, `None` for a path; other forms are refused.
fn parse_target(target: &[u8]) -> Result<Option<Box<[u8]>>, Malformed> {
    if target.starts_with(b"/") {
        return Ok(None);
    }
    let rest = strip_scheme(target).ok_or(Malformed)?;
    let end = memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let authority = &rest[..end];
    if is_authority(authority) {
        Ok(Some(authority.into()))
    } else {
        Err(Malformed)
    }
}

fn strip_scheme(target: &[u8]) -> Option<&[u8]> {
    let schemes: [&[u8]; 2] = [b"http://", b"https://"];
    schemes.into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}
