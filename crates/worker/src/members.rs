//! A frame's payload whose members are parsed when they are asked for: most functions look at few of them.

use std::ops::Range;

use jiter::{Jiter, JiterError};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;

use crate::core;

/// A JSON object. A member is parsed anew each time it is asked for.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Members {
    /// A copy, because the memory that was read into is used again.
    text: Box<[u8]>,
    members: Vec<(Box<str>, Range<usize>)>,
}

#[pymethods]
impl Members {
    fn __getitem__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let found = self.find(name);
        let found = found.ok_or_else(|| PyKeyError::new_err(name.to_owned()))?;
        core::parse(py, found)
    }

    fn __contains__(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// A member, or `None`.
    fn get<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        match self.find(name) {
            Some(found) => core::parse(py, found),
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
    pub(crate) fn read(text: &[u8]) -> PyResult<Self> {
        let wrong = |error: JiterError| PyValueError::new_err(error.to_string());
        let mut members = Vec::with_capacity(8);
        let mut reader = Jiter::new(text);
        let mut name = reader.next_object().map_err(wrong)?.map(Box::from);
        while let Some(found) = name {
            let start = reader.current_index();
            reader.next_skip().map_err(wrong)?;
            members.push((found, start..reader.current_index()));
            name = reader.next_key().map_err(wrong)?.map(Box::from);
        }
        Ok(Self {
            text: text.into(),
            members,
        })
    }

    fn find(&self, name: &str) -> Option<&[u8]> {
        let found = self.members.iter().find(|(known, _)| **known == *name)?;
        self.text.get(found.1.clone())
    }
}
