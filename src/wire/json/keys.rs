//! The keys of one object, compared as the text they stand for and not as they are spelt.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::str;

use super::{Span, strings};

/// Up to this many keys, comparing all pairs is faster than sorting.
const PAIRWISE_LIMIT: usize = 16;

/// How `serde_json` begins the keys by which it hands numbers and unread values through its own data model.
const RESERVED: &str = "$serde_json::private::";

/// A key without its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) span: Span,
    pub(super) escaped: bool,
}

impl Key {
    fn raw<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.span.range()]
    }

    fn spelling<'a>(&self, bytes: &'a [u8]) -> &'a str {
        str::from_utf8(self.raw(bytes)).expect("the scanner has checked every key")
    }

    /// The key's text, borrowed unless it has escapes.
    pub(super) fn text<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        strings::unescape(self.spelling(bytes))
    }

    /// Whether the key's text is `text`.
    #[inline]
    pub(super) fn is(&self, bytes: &[u8], text: &str) -> bool {
        if self.escaped {
            return self.text(bytes) == text;
        }
        // The length first: it tells nearly all keys apart, without a look at the text.
        self.span.length() == text.len() && self.raw(bytes) == text.as_bytes()
    }

    /// Whether a reader of ours takes the key for a mark of its own: it would make another value of the object.
    pub(super) fn is_reserved(&self, bytes: &[u8]) -> bool {
        // Nearly all keys are told by their first byte.
        let may_be = matches!(self.raw(bytes).first(), Some(b'$' | b'\\'));
        may_be && self.text(bytes).starts_with(RESERVED)
    }

    // The order of UTF-8 bytes is the order of the characters, so both ways of comparing agree.
    fn compare(&self, other: &Self, bytes: &[u8]) -> Ordering {
        if self.escaped || other.escaped {
            let mine = strings::characters(self.spelling(bytes));
            return mine.cmp(strings::characters(other.spelling(bytes)));
        }
        self.raw(bytes).cmp(other.raw(bytes))
    }

    fn equals(&self, other: &Self, bytes: &[u8]) -> bool {
        if self.escaped || other.escaped {
            return self.compare(other, bytes).is_eq();
        }
        self.raw(bytes) == other.raw(bytes)
    }
}

/// The offset of the first key that stands for the same text as one before it. May reorder `keys`.
pub(super) fn duplicate(keys: &mut [Key], bytes: &[u8]) -> Option<usize> {
    if keys.len() <= PAIRWISE_LIMIT {
        return duplicate_of_few(keys, bytes);
    }
    let in_order = |a: &Key, b: &Key| {
        a.compare(b, bytes)
            .then_with(|| a.span.start.cmp(&b.span.start))
    };
    keys.sort_unstable_by(in_order);
    keys.windows(2)
        .filter(|pair| pair[0].compare(&pair[1], bytes).is_eq())
        .map(|pair| pair[1].span.start as usize)
        .min()
}

fn duplicate_of_few(keys: &[Key], bytes: &[u8]) -> Option<usize> {
    let is_repeated = |(index, key): &(usize, &Key)| {
        let mut before = keys[..*index].iter();
        before.any(|other| key.equals(other, bytes))
    };
    let (_, key) = keys.iter().enumerate().find(is_repeated)?;
    Some(key.span.start as usize)
}
