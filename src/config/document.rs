//! The configuration file: its text, and which line a place in it is on.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use super::mistake::{Mistake, Origin};

/// A file that was read.
pub(super) struct Document {
    path: PathBuf,
    pub(super) text: String,
}

impl Document {
    pub(super) fn new(path: PathBuf, text: String) -> Self {
        Self { path, text }
    }

    pub(super) fn read(path: PathBuf) -> Result<Self, Mistake> {
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self::new(path, text)),
            Err(error) => Err(Mistake {
                origin: Origin::File(path),
                message: format!("cannot be read: {error}"),
                hint: None,
            }),
        }
    }

    /// The line on which `span` begins.
    pub(super) fn line(&self, span: &Range<usize>) -> Origin {
        let end = span.start.min(self.text.len());
        let before = &self.text.as_bytes()[..end];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Origin::Line(self.path.clone(), line)
    }

    /// The first line, for what has no better place.
    pub(super) fn whole(&self) -> Origin {
        Origin::File(self.path.clone())
    }
}
