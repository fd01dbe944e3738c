//! `words`: refuses or replaces words and phrases of a list, in questions and answers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::fields::{Field, Mistake, PRIORITY_FIELD, Shape, Values};
use super::message::{self, Roles};
use super::streamed::Answers;
use super::text::{Finder, Match, at, before};
use super::{Asker, Changed, Events, Filter, Kind, Refusal};
use crate::wire::json::{Document, Splices};

/// Characters of all words together.
const MOST_CHARACTERS: usize = 1 << 20;

const BLOCK: &str = "block";
const REPLACE: &str = "replace";

pub(super) static KIND: Kind = Kind {
    name: "words",
    about: "Refuses or replaces words and phrases of a list, in questions and answers.",
    handlers: &["inlet", "outlet", "stream"],
    valves: &[
        PRIORITY_FIELD,
        Field {
            name: "words",
            about: "Words and phrases, divided by commas or line ends.",
            shape: Shape::Text(""),
        },
        Field {
            name: "action",
            about: "What happens to a text with one of them.",
            shape: Shape::Choice(&[BLOCK, REPLACE]),
        },
        Field {
            name: "replacement",
            about: "What stands in the place of a word.",
            shape: Shape::Text("[removed]"),
        },
        Field {
            name: "message",
            about: "What the caller is told of a refusal.",
            shape: Shape::Text("This text holds a word that is not allowed here."),
        },
        Field {
            name: "ignore_case",
            about: "Capitals make no difference.",
            shape: Shape::Flag(true),
        },
        Field {
            name: "whole_words",
            about: "Words count only as a whole, not as part of another.",
            shape: Shape::Flag(true),
        },
        Field {
            name: "requests",
            about: "Look at what goes to the model.",
            shape: Shape::Flag(true),
        },
        Field {
            name: "answers",
            about: "Look at what comes from the model.",
            shape: Shape::Flag(true),
        },
        Field {
            name: "roles",
            about: "Whose messages to look at in requests, by commas.",
            shape: Shape::Text("user"),
        },
    ],
    user_valves: &[],
    build,
};

fn build(values: &Values) -> Result<Arc<dyn Filter>, Mistake> {
    let words = values.list("words");
    let length: usize = words.iter().map(|word| word.chars().count()).sum();
    if length > MOST_CHARACTERS {
        let message = format!("`words` must be of at most {MOST_CHARACTERS} characters");
        return Err(Mistake::new(message));
    }
    let refusal = || Refusal::new(403, values.text("message"));
    let list = WordList {
        tree: Tree::new(&words, values.flag("ignore_case")),
        whole_words: values.flag("whole_words"),
        replacement: match values.text("action") {
            REPLACE => Ok(values.text("replacement").to_owned()),
            _ => Err(refusal()),
        },
    };
    Ok(Arc::new(Words {
        is_empty: words.is_empty(),
        list: Arc::new(list),
        requests: values.flag("requests"),
        answers: values.flag("answers"),
        roles: Roles::new(values.list("roles")),
    }))
}

/// The filter.
#[derive(Debug)]
struct Words {
    list: Arc<WordList>,
    is_empty: bool,
    requests: bool,
    answers: bool,
    roles: Roles,
}

impl Filter for Words {
    fn handles(&self, handler: &str) -> bool {
        let is_wanted = match handler {
            "inlet" => self.requests,
            "stream" | "outlet" => self.answers,
            _ => false,
        };
        is_wanted && !self.is_empty
    }

    fn inlet(&self, body: &Document, _asker: &Asker<'_>) -> Changed {
        let mut edit = body.edit();
        message::rewrite_all(&*self.list, &self.roles, body, edit.splices())?;
        Ok(edit.changed())
    }

    fn outlet(&self, message: &Document) -> Changed {
        let mut splices = Splices::default();
        message::rewrite(&*self.list, message.root(), &mut splices)?;
        Ok(splices.applied(message.bytes()))
    }

    fn stream(&self) -> Option<Box<dyn Events>> {
        let list = Arc::clone(&self.list);
        self.handles("stream")
            .then(|| Box::new(Answers::new(list)) as Box<dyn Events>)
    }
}

/// Words, and what becomes of a text with one.
struct WordList {
    tree: Tree,
    whole_words: bool,
    /// What stands in the place of a word, or why the text is refused.
    replacement: Result<String, Refusal>,
}

/// Without the words, which are valves.
impl std::fmt::Debug for WordList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WordList({} places)", self.tree.places.len())
    }
}

impl Finder for WordList {
    fn scan(&self, text: &str, start: usize, is_last: bool) -> (Vec<Match>, usize) {
        let mut found = Vec::new();
        let mut place = start;
        while let Some(next) = self.tree.next_beginning(text, place) {
            place = next;
            match self.look(text, place, is_last) {
                Look::Nothing => place += at(text, place).map_or(1, char::len_utf8),
                Look::Open => return (found, place),
                Look::Word(end) => {
                    let range = place..end;
                    found.push(Match { range, what: "" });
                    place = end;
                }
            }
        }
        (found, text.len())
    }

    fn replacement(&self, _found: &Match) -> Result<Cow<'_, str>, Refusal> {
        match &self.replacement {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(refusal) => Err(refusal.clone()),
        }
    }
}

/// What stands at a place of a text.
enum Look {
    Nothing,
    /// Something that is or may become a word, which the text that follows decides.
    Open,
    /// The longest word of the list that stands there, to this end.
    Word(usize),
}

impl WordList {
    fn look(&self, text: &str, start: usize, is_last: bool) -> Look {
        if self.whole_words && is_within_word(text, start) {
            return Look::Nothing;
        }
        let (mut node, mut place, mut end) = (Tree::ROOT, start, None);
        loop {
            let next = at(text, place);
            if self.tree.is_end(node) && !(self.whole_words && is_within_word(text, place)) {
                end = Some(place);
            }
            let Some(next) = next else {
                let grows = self.tree.grows(node);
                let is_open = grows || (self.whole_words && self.tree.is_end(node));
                return match (is_open && !is_last && place > start, end) {
                    (true, _) => Look::Open,
                    (false, end) => end.map_or(Look::Nothing, Look::Word),
                };
            };
            let Some(child) = self.tree.child(node, next) else {
                return end.map_or(Look::Nothing, Look::Word);
            };
            node = child;
            place += next.len_utf8();
        }
    }
}

/// Whether a place lies between two characters of one word.
fn is_within_word(text: &str, place: usize) -> bool {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    before(text, place).is_some_and(is_word) && at(text, place).is_some_and(is_word)
}

/// Words by their characters, one after the other.
struct Tree {
    places: Vec<Node>,
    /// Whether a word may begin with a character whose first byte is this one. Of one beyond ASCII that is not known.
    begins: [bool; 256],
    ignore_case: bool,
}

#[derive(Default)]
struct Node {
    next: BTreeMap<char, usize>,
    is_end: bool,
}

impl Tree {
    const ROOT: usize = 0;

    fn new(words: &[&str], ignore_case: bool) -> Self {
        let mut tree = Self {
            places: vec![Node::default()],
            begins: [true; 256],
            ignore_case,
        };
        words.iter().for_each(|word| tree.add(word));
        for byte in 0..=0xBF_u8 {
            // Those beyond ASCII stand within characters only.
            let is_first = byte.is_ascii() && tree.child(Self::ROOT, char::from(byte)).is_some();
            tree.begins[usize::from(byte)] = is_first;
        }
        tree
    }

    /// The first place at `from` or behind it where a word may begin.
    fn next_beginning(&self, text: &str, from: usize) -> Option<usize> {
        let begins = |byte: &u8| self.begins[usize::from(*byte)];
        let found = text.as_bytes()[from..].iter().position(begins);
        found.map(|found| from + found)
    }

    fn add(&mut self, word: &str) {
        let mut node = Self::ROOT;
        for character in word.chars() {
            let key = self.key(character);
            let fresh = self.places.len();
            let next = *self.places[node].next.entry(key).or_insert(fresh);
            if next == fresh {
                self.places.push(Node::default());
            }
            node = next;
        }
        self.places[node].is_end = true;
    }

    /// What a character counts as: all blanks alike, and capitals like small letters where that is wanted.
    fn key(&self, character: char) -> char {
        match character {
            character if character.is_whitespace() => ' ',
            character if character.is_ascii() && self.ignore_case => character.to_ascii_lowercase(),
            character if self.ignore_case => character.to_lowercase().next().unwrap_or(character),
            character => character,
        }
    }

    fn child(&self, node: usize, character: char) -> Option<usize> {
        self.places[node].next.get(&self.key(character)).copied()
    }

    fn is_end(&self, node: usize) -> bool {
        self.places[node].is_end
    }

    fn grows(&self, node: usize) -> bool {
        !self.places[node].next.is_empty()
    }
}
