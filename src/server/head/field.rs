//! The fields of a head, and those of them that decide where a message ends and whom it is for.

use std::net::Ipv6Addr;

use memchr::memchr;

use super::request_line::{RequestLine, Version};
use super::{FIELD_LIMIT, Malformed};

/// How the end of a body is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes, none without a length.
    Length(u64),
    /// By an empty chunk.
    Chunked,
}

/// What has been seen of the fields of one head, or of one trailer section.
#[derive(Debug, Default)]
pub(super) struct Fields {
    request_line: RequestLine,
    count: usize,
    has_host: bool,
    length: Option<u64>,
    is_chunked: bool,
}

impl Fields {
    /// No field yet, after this first line.
    pub(super) fn of(request_line: RequestLine) -> Self {
        Self {
            request_line,
            ..Self::default()
        }
    }

    /// Takes one line of a head.
    pub(super) fn add(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let (name, value) = self.split(line)?;
        // The length first: it tells nearly all fields apart.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.add_host(value),
            7 if name.eq_ignore_ascii_case(b"upgrade") => check_upgrade(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.add_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.add_coding(value),
            _ => Ok(()),
        }
    }

    /// Takes one line of a trailer section, where fields about framing and routing are lies.
    pub(super) fn add_trailer(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let (name, _) = self.split(line)?;
        let forbidden: [&[u8]; 3] = [b"host", b"content-length", b"transfer-encoding"];
        let is_forbidden = forbidden
            .iter()
            .any(|other| name.eq_ignore_ascii_case(other));
        if is_forbidden { Err(Malformed) } else { Ok(()) }
    }

    /// How the body ends, once all fields are there.
    pub(super) fn finish(&self) -> Result<Framing, Malformed> {
        self.check_count()?;
        if !self.has_host && self.request_line.version == Version::Http11 {
            return Err(Malformed);
        }
        if self.is_chunked {
            return Ok(Framing::Chunked);
        }
        Ok(Framing::Length(self.length.unwrap_or(0)))
    }

    /// Judges the count at the line after a field, whatever it is: hyper has then seen the field
    /// too many, and answers 431 to it.
    pub(super) fn check_count(&self) -> Result<(), Malformed> {
        if self.count > FIELD_LIMIT {
            return Err(Malformed);
        }
        Ok(())
    }

    fn split<'a>(&mut self, line: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Malformed> {
        self.check_count()?;
        self.count += 1;
        let is_mark = |&byte: &u8| !TOKEN[usize::from(byte)];
        let end = line.iter().position(is_mark).ok_or(Malformed)?;
        let (name, rest) = line.split_at(end);
        let value = rest.strip_prefix(b":").ok_or(Malformed)?;
        // A folded line, or a space before the colon, is no token either.
        if name.is_empty() || !is_value(value) {
            return Err(Malformed);
        }
        Ok((name, value.trim_ascii()))
    }

    fn add_host(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let authority = self.request_line.authority.as_deref();
        let agrees = authority.is_none_or(|authority| authority.eq_ignore_ascii_case(value));
        if self.has_host || !agrees || !is_authority(value) {
            return Err(Malformed);
        }
        self.has_host = true;
        Ok(())
    }

    fn add_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.length.is_some() || self.is_chunked {
            return Err(Malformed);
        }
        self.length = Some(parse_decimal(value).ok_or(Malformed)?);
        Ok(())
    }

    fn add_coding(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let is_known =
            self.request_line.version == Version::Http11 && value.eq_ignore_ascii_case(b"chunked");
        if self.length.is_some() || self.is_chunked || !is_known {
            return Err(Malformed);
        }
        self.is_chunked = true;
        Ok(())
    }
}

/// Nothing is upgraded here. Clients that merely offer HTTP/2 on every first request (Java's does)
/// are answered in HTTP/1, which RFC 9110 (7.8) allows; whoever asks for more is refused.
fn check_upgrade(value: &[u8]) -> Result<(), Malformed> {
    if value.eq_ignore_ascii_case(b"h2c") {
        Ok(())
    } else {
        Err(Malformed)
    }
}

fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether `bytes` name a host, with a port or without; never a user.
pub(super) fn is_authority(bytes: &[u8]) -> bool {
    // The colons of an address in brackets begin no port.
    let bracket = memchr(b']', bytes).map_or(0, |bracket| bracket + 1);
    let colon = memchr(b':', &bytes[bracket..]).map(|colon| bracket + colon);
    let (host, port) = bytes.split_at(colon.unwrap_or(bytes.len()));
    let is_host = is_host_name(host) || is_address_literal(host);
    is_host && (port.is_empty() || is_port(port))
}

fn is_address_literal(bytes: &[u8]) -> bool {
    let address = bytes
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"));
    let text = address.and_then(|address| std::str::from_utf8(address).ok());
    text.is_some_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn is_host_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| HOST[usize::from(byte)])
}

fn is_port(bytes: &[u8]) -> bool {
    let digits = bytes.strip_prefix(b":").and_then(parse_decimal);
    digits.is_some_and(|port| port <= u64::from(u16::MAX))
}

/// Whether `bytes` may stand in a field's value. Looks at all of them without an early end, so
/// that it compiles to vector code.
pub(super) fn is_value(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |is_good, &byte| {
        is_good & ((byte >= b' ' && byte != 0x7f) | (byte == b'\t'))
    })
}

/// The bytes of a token (RFC 9110, 5.6.2).
static TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~");

/// The bytes of a host's name, or of an IPv4 address.
static HOST: [bool; 256] = table(b"-._~");

/// Letters, digits and `marks`.
const fn table(marks: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut index = 0;
    while index < marks.len() {
        table[marks[index] as usize] = true;
        index += 1;
    }
    let mut byte = 0_u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            table[byte as usize] = true;
        }
        byte += 1;
    }
    table
}
