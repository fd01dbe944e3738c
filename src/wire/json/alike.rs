//! Texts that come one after the other and are alike, as the events of a stream are: most differ from the one before in one
//! string. Such a text is checked by comparing it, which costs a fraction of reading it.

use std::ops::Range;
use std::str;

use bytes::Bytes;

use super::tape::Shift;
use super::{InvalidJson, Tape, strings};

/// The longest text that is kept to compare with, in bytes.
const KEPT_BYTES: usize = 4 * 1024;

/// What texts are compared with: the last that had to be read.
#[derive(Debug, Default)]
pub struct Alike {
    /// With a text of its own: that of an event is a piece of all that came with it.
    known: Option<Tape>,
    /// The entry of the string in which others were last seen to differ.
    varying: usize,
}

impl Alike {
    /// Checks `bytes` as [`Tape::parse`] does.
    ///
    /// # Errors
    ///
    /// As [`Tape::parse`].
    pub fn parse(&mut self, bytes: Bytes) -> Result<Tape, InvalidJson> {
        if let Some(tape) = self.compare(&bytes) {
            return Ok(tape);
        }
        let tape = Tape::parse(bytes)?;
        self.known = (tape.bytes().len() <= KEPT_BYTES).then(|| {
            let text = Bytes::copy_from_slice(tape.bytes());
            tape.with_text(text, Shift::NONE)
        });
        Ok(tape)
    }

    /// A text that has passed the gate already, or that was made of such.
    pub fn checked(&mut self, bytes: Bytes) -> Tape {
        let tape = self.parse(bytes.clone());
        tape.unwrap_or_else(|_| Tape::checked(bytes))
    }

    /// The tape of a text that is valid for being like the one before.
    fn compare(&mut self, text: &Bytes) -> Option<Tape> {
        let known = self.known.as_ref()?;
        let places = known.places();
        let is_changed = |entry: &usize| is_other_string(known, *entry, text);
        if !is_changed(&self.varying) {
            let at = first_difference(known.bytes(), text);
            let holds = |entry: &usize| {
                places
                    .get(*entry)
                    .is_some_and(|it| it.span.range().contains(&at))
            };
            let found = (0..places.count()).rfind(holds)?;
            self.varying = Some(found).filter(is_changed)?;
        }
        // As the gate has it.
        u32::try_from(text.len()).ok()?;
        let last = places.get(self.varying)?.span.end;
        let shift = Shift::new(last, known.bytes().len(), text.len());
        Some(known.with_text(text.clone(), shift))
    }
}

/// Whether `text` is `known` with something else in the string of this entry.
fn is_other_string(known: &Tape, entry: usize, text: &[u8]) -> bool {
    let was = known.bytes();
    let Some(place) = known.places().get(entry).map(|it| it.span.range()) else {
        return false;
    };
    // The place of a key is without its quotes, so that nothing but a value begins with one.
    if was.get(place.start) != Some(&b'"') || place.is_empty() {
        return false;
    }
    let Some(inside) = inside(&place, was.len(), text.len()) else {
        return false;
    };
    text[..inside.start] == was[..inside.start]
        && text[inside.end..] == was[place.end - 1..]
        && is_plain(&text[inside])
}

/// What stands between the quotes of a string in a text of another length, if only that differs.
fn inside(place: &Range<usize>, was_length: usize, length: usize) -> Option<Range<usize>> {
    let behind = was_length - (place.end - 1);
    let end = length.checked_sub(behind)?;
    (place.start < end).then_some(place.start + 1..end)
}

/// Whether it is the inside of one string: without quotes and escapes, control characters and what is no UTF-8.
fn is_plain(inside: &[u8]) -> bool {
    let run = strings::plain_run(inside);
    run.length == inside.len() && (run.ascii || str::from_utf8(inside).is_ok())
}

fn first_difference(one: &[u8], other: &[u8]) -> usize {
    let mut pairs = one.iter().zip(other);
    let place = pairs.position(|(one, other)| one != other);
    place.unwrap_or(one.len().min(other.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where all parts of a tape are.
    fn places(tape: &Tape) -> Vec<(Range<usize>, bool, usize)> {
        let places = tape.places();
        let entries = (0..places.count()).filter_map(|entry| places.get(entry));
        entries
            .map(|it| (it.span.range(), it.is_escaped, it.next))
            .collect()
    }

    /// Checks one text after the other, and that each is found as it is found alone; how many were compared only.
    fn compared(texts: &[Vec<u8>]) -> usize {
        let (mut alike, mut count) = (Alike::default(), 0);
        for text in texts {
            count += usize::from(alike.compare(&Bytes::copy_from_slice(text)).is_some());
            let bytes = Bytes::copy_from_slice(text);
            match (alike.parse(bytes.clone()), Tape::parse(bytes)) {
                (Ok(one), Ok(other)) => assert_eq!(places(&one), places(&other)),
                (one, other) => assert_eq!(one.err(), other.err()),
            }
        }
        count
    }

    fn texts(template: &str, contents: &[&str]) -> Vec<Vec<u8>> {
        let texts = contents.iter().map(|it| template.replace('~', it).into());
        texts.collect()
    }

    const CONTENTS: [&str; 8] = [
        "",
        "a",
        "word",
        "é",
        "w",
        "long enough to be looked at in other steps",
        "a",
        "z",
    ];

    #[test]
    fn texts_that_differ_in_one_string_are_compared() {
        for template in [
            r#" {"id":"x","a":[{"c":"~"},{"d\n":[1,-2.5]}],"e":{"":null}} "#,
            r#"["~"]"#,
            r#"{"a":"","b":"~","c":""}"#,
            r#""~""#,
        ] {
            let expected = CONTENTS.len() - 1;
            assert_eq!(
                compared(&texts(template, &CONTENTS)),
                expected,
                "{template}"
            );
        }
    }

    #[test]
    fn what_differs_elsewhere_is_read() {
        for template in [r#"{"~":1}"#, r#"{"a":~}"#, r#"{"a":1}~"#, r#"~{"a":""}"#] {
            let contents = ["1", "2", "", " ", "\"\"", "1", "3"];
            assert_eq!(compared(&texts(template, &contents)), 0, "{template}");
        }
    }

    #[test]
    fn nothing_passes_for_a_string_that_is_none() {
        let contents = [
            "a",
            "\"",
            "\\",
            "\\\"",
            "\\u0041",
            "\n",
            "\u{1f}",
            "\",\"b\":\"",
            "\"}",
            "b",
        ];
        // Only the last is like the one before, where that is not an object of two members.
        for (template, count) in [
            (r#"{"a":"~"}"#, 0),
            (r#"{"a":"~","b":1}"#, 1),
            (r#"[{"a":"~"},""]"#, 0),
        ] {
            assert_eq!(compared(&texts(template, &contents)), count, "{template}");
        }
        let broken = [b"a".to_vec(), b"\xff".to_vec(), b"\xe2\x82".to_vec()];
        let broken = broken.map(|it| [&b"[\""[..], &it, b"\"]"].concat());
        assert_eq!(compared(&broken), 0);
    }

    #[test]
    fn every_change_of_a_byte_is_judged_as_alone() {
        let text = r#"{"a":"one","b":[{"c":"two","d":1}],"e":{"a":"é"}}"#.as_bytes();
        for place in 0..text.len() {
            for byte in 0..=u8::MAX {
                let mut changed = text.to_vec();
                changed[place] = byte;
                let cut = [&text[..place], &text[place + 1..]].concat();
                compared(&[text.to_vec(), changed, text.to_vec(), cut]);
            }
        }
    }
}
