//! The characters of addresses and numbers. Letters are Latin on purpose: with all of Unicode, an address inside a
//! sentence that is written without spaces would take the sentence with it.

/// A letter of an address.
pub(super) fn is_latin(character: char) -> bool {
    match character {
        'A'..='Z' | 'a'..='z' => true,
        '\u{c0}'..='\u{24f}' => !matches!(character, '\u{d7}' | '\u{f7}'),
        _ => false,
    }
}

/// A character of a word in an address.
pub(super) fn is_word(character: char) -> bool {
    is_digit(character) || character == '_' || is_latin(character)
}

/// A character before the @ of an address.
pub(super) fn is_local(character: char) -> bool {
    is_word(character) || matches!(character, '.' | '+' | '%' | '\'' | '~' | '&' | '-')
}

/// A digit of a number.
pub(super) fn is_digit(character: char) -> bool {
    character.is_ascii_digit()
}

/// A space within a number.
pub(super) fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\u{a0}' | '\u{2009}' | '\u{202f}')
}

/// A dash within a number.
pub(super) fn is_dash(character: char) -> bool {
    matches!(character, '-' | '\u{2010}'..='\u{2015}')
}

/// What may stand between two digits of a phone number.
pub(super) fn is_phone_gap(character: char) -> bool {
    is_space(character) || is_dash(character) || matches!(character, '.' | '/' | '(' | ')')
}

/// A character of a number that is under way.
pub(super) fn is_number(character: char) -> bool {
    is_digit(character) || is_phone_gap(character) || character == '+'
}
