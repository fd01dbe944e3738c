//! A frame's payload whose members are parsed when they are asked for: most functions look at few of them.

use std::ops::Range;
use std::sync::Arc;

use jiter::{Jiter, JiterError};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;

use crate::prototypes::{Prototypes, copy};

/// A JSON object. A member is parsed anew each time it is asked for.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Members {
    /// A copy, because the memory that was read into is used again.
    text: Box<[u8]>,
    members: Vec<(Box<str>, Range<usize>)>,
    prototypes: Arc<Prototypes>,
}

/// A value, and its prototype.
type Lent<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

#[pymethods]
impl Members {
    fn __getitem__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let found = self.find(name);
        let found = found.ok_or_else(|| PyKeyError::new_err(name.to_owned()))?;
        self.parse(py, found)
    }

    fn __contains__(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// A member, to change at will, and what it was, to ask [`is_untouched`](crate::prototypes::is_untouched) about.
    fn lend<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Lent<'py>> {
        match self.find(name) {
            Some(found) => {
                let prototype = self.prototypes.of(py, found)?;
                Ok((copy(&prototype)?, prototype))
            }
            None => Ok((py.None().into_bound(py), py.None().into_bound(py))),
        }
    }

    /// A member, or `None`.
    fn get<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        match self.find(name) {
            Some(found) => self.parse(py, found),
            None => Ok(py.None().into_bound(py)),
        }
    }
}

impl Members {
    /// Finds the members of a JSON object.
    ///
    /// # Errors
    ///
    /// If the text is something else.
    pub(crate) fn read(text: &[u8], prototypes: &Arc<Prototypes>) -> PyResult<Self> {
        let mut members = Vec::with_capacity(8);
        for_each_member(text, |name, value| {
            let start = value.as_ptr() as usize - text.as_ptr() as usize;
            members.push((Box::from(name), start..start + value.len()));
            Ok(())
        })?;
        Ok(Self {
            text: text.into(),
            members,
            prototypes: Arc::clone(prototypes),
        })
    }

    fn parse<'py>(&self, py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        copy(&self.prototypes.of(py, text)?)
    }

    fn find(&self, name: &str) -> Option<&[u8]> {
        let found = self.members.iter().find(|(known, _)| **known == *name)?;
        self.text.get(found.1.clone())
    }
}

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
