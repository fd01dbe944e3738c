//! Tells whoever runs the tests something, also of tests that pass.

use std::io::{self, Write};

/// Writes a line past the capture of the test harness: figures and skipped tests must be seen.
pub(crate) fn say(text: &str) {
    // Nothing is lost but the line if nobody reads it.
    let _ = writeln!(io::stderr(), "{text}");
}
