//! The user's documents in `../shared/seeds`, whose examples are read out of them as they stand.

use std::fs;

use super::shared::{is_shared_there, shared};

/// Opens a block of Python in a document.
const FENCE: &str = "```python\n";

/// One document.
#[derive(Debug)]
pub(crate) struct Seed(String);

/// Where a block of Python stands: the heading above it, and how many stand between.
pub(crate) type Place = (String, usize);

impl Seed {
    /// The document whose file name begins with `number`; `None` where `../shared` is not there, which is said.
    pub(crate) fn open(number: &str) -> Option<Self> {
        if !is_shared_there() {
            return None;
        }
        let files = fs::read_dir(shared("seeds")).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        let is_it = |path: &std::path::PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with(number)
        };
        let path = paths.find(is_it).expect("the document is there");
        Some(Self(fs::read_to_string(path).unwrap()))
    }

    /// The block of Python below `heading`, after `index` others there.
    pub(crate) fn block(&self, heading: &str, index: usize) -> String {
        let blocks = self.blocks();
        let found = blocks
            .into_iter()
            .find(|(place, _)| *place == (heading.to_owned(), index));
        let (_, code) = found.unwrap_or_else(|| panic!("no block {index} below `{heading}`"));
        code
    }

    /// Every block of Python, with its place.
    pub(crate) fn blocks(&self) -> Vec<(Place, String)> {
        let mut blocks = Vec::new();
        let (mut heading, mut index) = (String::new(), 0);
        let mut rest = self.0.as_str();
        while let Some((line, after)) = rest.split_once('\n') {
            rest = after;
            if line.starts_with('#') {
                (heading, index) = (line.trim_start_matches('#').trim().to_owned(), 0);
            } else if let Some(language) = line.strip_prefix("```") {
                let (code, after) = after.split_once("```").expect("the block is closed");
                if language == FENCE[3..].trim_end() {
                    blocks.push(((heading.clone(), index), code.to_owned()));
                    index += 1;
                }
                rest = after.split_once('\n').map_or("", |(_, after)| after);
            }
        }
        blocks
    }

    /// The text from `heading` to the next one.
    pub(crate) fn section(&self, heading: &str) -> &str {
        let (_, text) = self.0.split_once(heading).expect("the heading is there");
        text.split_once("\n#").map_or(text, |(text, _)| text)
    }
}

/// A class with these methods, each as it stands at the left margin of a document.
pub(crate) fn in_class(class: &str, methods: &[&str]) -> String {
    let indented = |line: &str| match line.is_empty() {
        true => "\n".to_owned(),
        false => format!("    {line}\n"),
    };
    let methods: String = methods
        .iter()
        .flat_map(|method| method.lines())
        .map(indented)
        .collect();
    format!("class {class}:\n{methods}")
}
