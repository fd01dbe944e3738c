//! JSON values that come with one request after the other: parsed once, copied for each, and told from what a function has
//! changed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;

use crate::core::parse;
use crate::members::for_each_member;
use crate::shape::Shape;

/// Values that are kept; the one not asked for longest makes room.
const KEPT: usize = 64;

/// The longest text whose value is kept, in bytes.
const KEPT_BYTES: usize = 16 * 1024;

/// Values by their text.
#[derive(Debug, Default)]
pub(crate) struct Prototypes(Mutex<VecDeque<Kept>>);

/// A text, and what it stands for.
type Kept = (Box<[u8]>, Arc<Shape>);

/// What a copy was made of, for who wants to know whether it is still the same.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Prototype(pub(crate) Arc<Shape>);

#[pymethods]
impl Prototype {
    /// Whether a copy is still as it was. One in which something was put in the place of its equal counts as changed.
    fn is_untouched(&self, copied: &Bound<'_, PyAny>) -> bool {
        self.0.is_untouched(copied)
    }
}

impl Prototypes {
    /// What JSON text stands for, shared by all who ask.
    ///
    /// # Errors
    ///
    /// If the text is no JSON.
    pub(crate) fn of(&self, py: Python<'_>, text: &[u8]) -> PyResult<Arc<Shape>> {
        let is_object = text.first() == Some(&b'{');
        if text.len() > KEPT_BYTES || !is_object && text.first() != Some(&b'[') {
            return Ok(Arc::new(Shape::of(&parse(py, text)?)));
        }
        if let Some(known) = self.find(text) {
            return Ok(known);
        }
        let made = match is_object {
            true => self.assemble(py, text)?,
            false => Shape::of(&parse(py, text)?),
        };
        let made = Arc::new(made);
        self.keep(text, &made);
        Ok(made)
    }

    /// An object whose containers are prototypes themselves: what surrounds them may be another each time.
    fn assemble(&self, py: Python<'_>, text: &[u8]) -> PyResult<Shape> {
        let mut members: Vec<(String, Arc<Shape>)> = Vec::new();
        for_each_member(text, |name, value| {
            let shape = self.of(py, value)?;
            match members.iter_mut().find(|(known, _)| known == name) {
                Some(known) => known.1 = shape,
                None => members.push((name.to_owned(), shape)),
            }
            Ok(())
        })?;
        Shape::of_members(py, members)
    }

    fn find(&self, text: &[u8]) -> Option<Arc<Shape>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().rposition(|(known, _)| **known == *text)?;
        let found = kept.remove(place)?;
        let value = Arc::clone(&found.1);
        kept.push_back(found);
        Some(value)
    }

    fn keep(&self, text: &[u8], value: &Arc<Shape>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((text.into(), Arc::clone(value)));
        let oldest = if kept.len() > KEPT {
            kept.pop_front()
        } else {
            None
        };
        // Letting go of a value frees memory of Python's, for which nobody needs to wait.
        drop(kept);
        drop(oldest);
    }
}
