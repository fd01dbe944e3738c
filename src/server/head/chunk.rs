//! The size line of a chunk.

use super::Malformed;
use super::field;

const DIGIT_LIMIT: usize = 16;
const EXTENSION_LIMIT_BYTES: usize = 256;
/// What a size line may take, extension and line end included.
pub(super) const SIZE_LINE_LIMIT_BYTES: usize = DIGIT_LIMIT + EXTENSION_LIMIT_BYTES + 2;

/// The size that a line (without its end) gives; extensions are bounded and ignored.
pub(super) fn parse_size_line(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let (digits, extension) = line.split_at(digits.count());
    if digits.is_empty() || digits.len() > DIGIT_LIMIT || !is_extension(extension) {
        return Err(Malformed);
    }
    let size = digits
        .iter()
        .fold(0, |size, &digit| (size << 4) | hex_value(digit));
    Ok(size)
}

fn is_extension(bytes: &[u8]) -> bool {
    bytes.is_empty() || (bytes[0] == b';' && bytes.len() > 1 && field::is_value(bytes))
}

fn hex_value(digit: u8) -> u64 {
    u64::from(match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    })
}
