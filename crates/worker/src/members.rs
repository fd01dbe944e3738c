//! The members of a JSON object, one after the other.

use jiter::{Jiter, JiterError};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Goes through the members of a JSON object: their names, and the text of their values.
///
/// # Errors
///
/// If the text is something else, or `visit` fails.
pub(crate) fn for_each_member<'t>(
    text: &'t [u8],
    mut visit: impl FnMut(&str, &'t [u8]) -> PyResult<()>,
) -> PyResult<()> {
    let wrong = |error: JiterError| PyValueError::new_err(error.to_string());
    let mut reader = Jiter::new(text);
    let mut name = reader.next_object().map_err(wrong)?.map(str::to_owned);
    while let Some(found) = name {
        let start = reader.current_index();
        reader.next_skip().map_err(wrong)?;
        visit(
            &found,
            text[start..reader.current_index()].trim_ascii_start(),
        )?;
        name = reader.next_key().map_err(wrong)?.map(str::to_owned);
    }
    Ok(())
}
