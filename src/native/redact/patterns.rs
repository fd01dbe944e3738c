//! What mail addresses, card numbers and phone numbers look like, and what may still become one.
//!
//! The shapes are those of `filters/redact.py`, written out by hand: every choice in them is decided by the next
//! character or the one before, so that a text is read once, and no text takes long.

use std::ops::Range;

use super::classes::{
    is_dash, is_digit, is_latin, is_local, is_number, is_phone_gap, is_space, is_word,
};
use crate::native::text::{at, before};

/// Characters of the part of an address before its @.
const LOCAL_LENGTH: usize = 64;
/// Labels of an address before its top-level domain.
const LABELS: usize = 7;
/// Characters of a label.
const LABEL_LENGTH: usize = 63;
/// What an address that has come this far behind its @ may still grow by.
const OPEN_DOMAIN_LENGTH: usize = 511;
/// Characters of a number that may still grow.
const OPEN_NUMBER_LENGTH: usize = 49;
/// Bytes in which the beginning of a number is looked for in one step.
const BLOCK: usize = 32;
/// Digits of a card's number.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// The first mail address that begins at `start` or later.
pub(super) fn next_mail(text: &str, start: usize) -> Option<Range<usize>> {
    let mut from = start;
    while let Some(found) = memchr::memchr(b'@', &text.as_bytes()[from..]) {
        let sign = from + found;
        if let Some(first) = local_start(text, start, sign)
            && let Some(end) = domain_end(text, sign + 1)
        {
            return Some(first..end);
        }
        from = sign + 1;
    }
    None
}

/// Where the part of an address begins that ends at `end`: as early as it can, and not within a word.
fn local_start(text: &str, start: usize, end: usize) -> Option<usize> {
    let mut earliest = None;
    let behind = text[start..end].char_indices().rev().take(LOCAL_LENGTH);
    for (offset, character) in behind.take_while(|(_, character)| is_local(*character)) {
        let place = start + offset;
        if is_word(character) && !before(text, place).is_some_and(is_word) {
            earliest = Some(place);
        }
    }
    earliest
}

/// Where the longest domain ends that begins at `start`.
fn domain_end(text: &str, start: usize) -> Option<usize> {
    let (mut place, mut end) = (start, None);
    for _ in 0..LABELS {
        let label = run(text, place, LABEL_LENGTH + 1, |it| is_word(it) || it == '-');
        let is_label = (1..=LABEL_LENGTH).contains(&label.characters);
        if !is_label || at(text, label.end) != Some('.') {
            break;
        }
        place = label.end + 1;
        end = top_level_end(text, place).or(end);
    }
    end
}

/// Where the longest top-level domain ends that begins at `start`: it begins with a letter and ends with one or a digit.
fn top_level_end(text: &str, start: usize) -> Option<usize> {
    if !at(text, start).is_some_and(is_latin) {
        return None;
    }
    let label = run(text, start, LABEL_LENGTH, |it| is_word(it) || it == '-');
    let mut characters = text[start..label.end].char_indices();
    let last = characters.rfind(|(_, it)| is_latin(*it) || is_digit(*it));
    last.filter(|(offset, _)| *offset > 0)
        .map(|(offset, character)| start + offset + character.len_utf8())
}

/// A stretch of characters of one class.
struct Run {
    end: usize,
    characters: usize,
}

fn run(text: &str, start: usize, most: usize, class: impl Fn(char) -> bool) -> Run {
    let stretch = text[start..].chars().take(most);
    let mut run = Run {
        end: start,
        characters: 0,
    };
    for character in stretch.take_while(|character| class(*character)) {
        run.end += character.len_utf8();
        run.characters += 1;
    }
    run
}

/// The first place at `from` or behind it where a number may begin: at a digit, a + or a parenthesis, none of which
/// begins one right behind a digit.
pub(super) fn next_beginning(text: &str, from: usize) -> Option<usize> {
    let text = text.as_bytes();
    let mut at = from;
    loop {
        let (blocks, _) = text[at..].as_chunks::<BLOCK>();
        let is_free = |block: &&[u8; BLOCK]| !block.iter().fold(false, |any, it| any | begins(it));
        at += BLOCK * blocks.iter().take_while(is_free).count();
        at += text[at..].iter().position(begins)?;
        if !text[..at].last().is_some_and(u8::is_ascii_digit) {
            return Some(at);
        }
        at += 1;
    }
}

fn begins(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'(')
}

/// Where a card's number ends that begins at `start`: the longest one, right by its check digit, that no digit follows.
pub(super) fn card_end(text: &str, start: usize) -> Option<usize> {
    if !may_begin_number(text, start) || !matches!(at(text, start)?, '2'..='9') {
        return None;
    }
    let (mut digits, mut ends) = (Vec::with_capacity(19), Vec::with_capacity(19));
    let mut place = start;
    while digits.len() < *CARD_DIGITS.end() {
        let gap =
            at(text, place).filter(|it| !digits.is_empty() && (is_space(*it) || is_dash(*it)));
        let digit_at = place + gap.map_or(0, char::len_utf8);
        let Some(digit) = at(text, digit_at).and_then(|digit| digit.to_digit(10)) else {
            break;
        };
        digits.push(digit);
        place = digit_at + 1;
        ends.push(place);
    }
    CARD_DIGITS
        .rev()
        .filter(|count| *count <= digits.len())
        .find(|count| !digit_at(text, ends[count - 1]) && is_right(&digits[..*count]))
        .map(|count| ends[count - 1])
}

/// Whether the last digit fits the others, by Luhn's sum.
fn is_right(digits: &[u32]) -> bool {
    let backwards = digits.iter().rev().enumerate();
    let sum: u32 = backwards
        .map(|(place, digit)| match place % 2 {
            0 => *digit,
            _ => 2 * digit - if *digit > 4 { 9 } else { 0 },
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether a number may begin at a place: neither within another nor as the fraction of one.
fn may_begin_number(text: &str, start: usize) -> bool {
    match before(text, start) {
        Some(character) if is_digit(character) => false,
        Some('.') => !follows_digit(text, start - 1),
        _ => true,
    }
}

fn follows_digit(text: &str, place: usize) -> bool {
    before(text, place).is_some_and(is_digit)
}

fn digit_at(text: &str, place: usize) -> bool {
    at(text, place).is_some_and(is_digit)
}

/// Where a phone number ends that begins at `start`.
pub(super) fn phone_end(text: &str, start: usize) -> Option<usize> {
    international_end(text, start).or_else(|| national_end(text, start))
}

/// With a leading + or 00.
fn international_end(text: &str, start: usize) -> Option<usize> {
    if before(text, start).is_some_and(|it| is_digit(it) || it == '+') {
        return None;
    }
    let rest = &text[start..];
    let prefix = ["+", "00"].into_iter().find(|it| rest.starts_with(it))?;
    let mut place = start + prefix.len();
    place += at(text, place)
        .filter(|it| is_space(*it))
        .map_or(0, char::len_utf8);
    if !matches!(at(text, place)?, '1'..='9') {
        return None;
    }
    digits_end(text, place + 1, 7..=14, |next| !next.is_some_and(is_digit))
}

/// With a leading 0, or grouped as in North America.
fn national_end(text: &str, start: usize) -> Option<usize> {
    let is_after_letter = before(text, start).is_some_and(|it| it.is_ascii_alphabetic());
    if is_after_letter || !may_begin_number(text, start) {
        return None;
    }
    let trunk = match is_date(text, start) {
        true => None,
        false => trunk_end(text, start),
    };
    trunk.or_else(|| grouped_end(text, start))
}

fn trunk_end(text: &str, start: usize) -> Option<usize> {
    if let Some('.' | '/' | '-') = before(text, start)
        && follows_digit(text, start - 1)
    {
        return None;
    }
    let zero = start + usize::from(at(text, start) == Some('('));
    let rest = text.as_bytes().get(zero..zero + 2)?;
    if !matches!(rest, [b'0', b'1'..=b'9']) {
        return None;
    }
    digits_end(text, zero + 2, 7..=11, ends_national)
}

/// Whether a number that is written as at home may end before this character.
fn ends_national(next: Option<char>) -> bool {
    !next.is_some_and(|next| next.is_ascii_alphanumeric())
}

/// Where the longest row of digits ends, with up to two characters between each, whose next character `may_end` it.
fn digits_end(
    text: &str,
    start: usize,
    counts: std::ops::RangeInclusive<usize>,
    may_end: impl Fn(Option<char>) -> bool,
) -> Option<usize> {
    let (mut place, mut end) = (start, None);
    for count in 1..=*counts.end() {
        let gap = run(text, place, 2, is_phone_gap);
        if !digit_at(text, gap.end) {
            break;
        }
        place = gap.end + 1;
        if counts.contains(&count) && may_end(at(text, place)) {
            end = Some(place);
        }
    }
    end
}

/// Two digits, two digits, four digits.
fn is_date(text: &str, start: usize) -> bool {
    let Some(rest) = text.as_bytes().get(start..start + 10) else {
        return false;
    };
    let is_right = rest.iter().enumerate().all(|(place, byte)| match place {
        2 | 5 => matches!(byte, b'.' | b'/' | b'-'),
        _ => byte.is_ascii_digit(),
    });
    is_right && !digit_at(text, start + 10)
}

/// Three digits, three digits, four digits.
fn grouped_end(text: &str, start: usize) -> Option<usize> {
    let line = match at(text, start)? {
        '(' => {
            let code_end = area_code_end(text, start + 1)?;
            let closed = place_after(text, code_end, |it| it == ')')?;
            let exchange = place_after(text, closed, is_space).unwrap_or(closed);
            let end = three_digits_end(text, exchange)?;
            place_after(text, end, is_group_gap).unwrap_or(end)
        }
        first => {
            let code = match first {
                '1' => place_after(text, start + 1, is_group_gap)?,
                _ => start,
            };
            let exchange = place_after(text, area_code_end(text, code)?, is_group_gap)?;
            place_after(text, three_digits_end(text, exchange)?, is_group_gap)?
        }
    };
    let end = three_digits_end(text, line)?;
    let end = place_after(text, end, is_digit)?;
    ends_national(at(text, end)).then_some(end)
}

fn is_group_gap(character: char) -> bool {
    is_space(character) || is_dash(character) || character == '.'
}

/// The place behind a character of this class.
fn place_after(text: &str, place: usize, class: impl Fn(char) -> bool) -> Option<usize> {
    let character = at(text, place).filter(|it| class(*it))?;
    Some(place + character.len_utf8())
}

fn three_digits_end(text: &str, start: usize) -> Option<usize> {
    let digits = text.as_bytes().get(start..start + 3)?;
    digits.iter().all(u8::is_ascii_digit).then_some(start + 3)
}

fn area_code_end(text: &str, start: usize) -> Option<usize> {
    matches!(at(text, start)?, '2'..='9').then(|| three_digits_end(text, start))?
}

/// Where an address begins that may become one, or a longer one, if more text comes.
pub(super) fn open_mail(text: &str, start: usize) -> Option<usize> {
    let domain = text[start..].char_indices().rev().take(OPEN_DOMAIN_LENGTH);
    let domain = domain.take_while(|(_, it)| is_word(*it) || matches!(it, '.' | '-'));
    let domain_start = domain
        .last()
        .map_or(text.len(), |(offset, _)| start + offset);
    let sign = domain_start
        .checked_sub(1)
        .filter(|sign| *sign >= start && text.as_bytes()[*sign] == b'@');
    sign.and_then(|sign| local_start(text, start, sign))
        .or_else(|| local_start(text, start, text.len()))
}

/// Where a number begins that may become one, or a longer one, if more text comes.
pub(super) fn open_number(text: &str, start: usize) -> Option<usize> {
    let behind = text[start..].char_indices().rev().take(OPEN_NUMBER_LENGTH);
    let mut earliest = None;
    for (offset, character) in behind.take_while(|(_, character)| is_number(*character)) {
        let place = start + offset;
        if matches!(character, '+' | '(' | '0'..='9') && !follows_digit(text, place) {
            earliest = Some(place);
        }
    }
    earliest
}
