//! JSON objects that come with one request after the other: parsed once, copied for each, and told from what a function
//! has changed.
//!
//! A copy shares everything that cannot change with its prototype, so making one costs a tenth of parsing, and one that
//! nobody has touched is known without writing it: its values are the very ones of the prototype.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use crate::core::parse;
use crate::members::for_each_member;

/// Objects that are kept; the one not asked for longest makes room.
const KEPT: usize = 64;

/// The longest text whose object is kept, in bytes.
const KEPT_BYTES: usize = 16 * 1024;

/// Objects by their text.
#[derive(Debug, Default)]
pub(crate) struct Prototypes(Mutex<VecDeque<Kept>>);

/// A text, and what it stands for.
type Kept = (Box<[u8]>, Py<PyAny>);

impl Prototypes {
    /// What JSON text stands for, shared by all who ask: to be copied, never to be handed out.
    ///
    /// # Errors
    ///
    /// If the text is no JSON.
    pub(crate) fn of<'py>(&self, py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        let is_object = text.first() == Some(&b'{');
        if text.len() > KEPT_BYTES || !is_object && text.first() != Some(&b'[') {
            return parse(py, text);
        }
        if let Some(known) = self.find(py, text) {
            return Ok(known);
        }
        let made = match is_object {
            true => self.assemble(py, text)?.into_any(),
            false => parse(py, text)?,
        };
        self.keep(text, &made);
        Ok(made)
    }

    /// An object whose containers are prototypes themselves: what surrounds them may be another each time.
    fn assemble<'py>(&self, py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyDict>> {
        let made = PyDict::new(py);
        for_each_member(text, |name, value| {
            // Not interned: a client may have chosen the name, and some Pythons never let go of interned text.
            made.set_item(PyString::new(py, name), self.of(py, value)?)
        })?;
        Ok(made)
    }

    fn find<'py>(&self, py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().rposition(|(known, _)| **known == *text)?;
        let found = kept.remove(place)?;
        let value = found.1.bind(py).clone();
        kept.push_back(found);
        Some(value)
    }

    fn keep(&self, text: &[u8], value: &Bound<'_, PyAny>) {
        let entry = (text.into(), value.clone().unbind());
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(entry);
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

/// A value of the asker's own, equal to a prototype.
///
/// # Errors
///
/// If there is no memory.
pub(crate) fn copy<'py>(prototype: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(dict) = prototype.cast::<PyDict>() {
        return Ok(copy_dict(dict)?.into_any());
    }
    match prototype.cast::<PyList>() {
        Ok(list) => {
            let items: PyResult<Vec<_>> = list.iter().map(|item| copy(&item)).collect();
            Ok(PyList::new(prototype.py(), items?)?.into_any())
        }
        Err(_) => Ok(prototype.clone()),
    }
}

fn copy_dict<'py>(dict: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    let copied = dict.copy()?;
    let mut members = Lending::of(dict);
    while let Some((key, value)) = members.next() {
        if is_container(value) {
            // SAFETY: both live as long as the prototype, which nobody changes.
            let (key, value) = unsafe {
                (
                    Bound::from_borrowed_ptr(dict.py(), key),
                    Bound::from_borrowed_ptr(dict.py(), value),
                )
            };
            copied.set_item(key, copy(&value)?)?;
        }
    }
    Ok(copied)
}

/// Whether a copy is still what its prototype is. One in which something was put in the place of its equal counts as
/// changed.
#[pyfunction]
pub(crate) fn is_untouched(prototype: &Bound<'_, PyAny>, copied: &Bound<'_, PyAny>) -> bool {
    if let (Ok(dict), Ok(copied)) = (prototype.cast::<PyDict>(), copied.cast::<PyDict>()) {
        return are_members_untouched(dict, copied);
    }
    if let (Ok(list), Ok(copied)) = (prototype.cast::<PyList>(), copied.cast::<PyList>()) {
        let mut pairs = list.iter().zip(copied);
        return list.len() == copied.len()
            && pairs.all(|(item, copied)| is_untouched(&item, &copied));
    }
    prototype.is(copied) && !is_container(prototype.as_ptr())
}

/// The same for members, which have an order.
fn are_members_untouched(dict: &Bound<'_, PyDict>, copied: &Bound<'_, PyDict>) -> bool {
    let (mut members, mut copies) = (Lending::of(dict), Lending::of(copied));
    while let Some((key, value)) = members.next() {
        let Some((name, copied)) = copies.next() else {
            return false;
        };
        // SAFETY: comparing runs no code that could change either dictionary.
        let is_same = || unsafe {
            is_untouched(
                &Bound::from_borrowed_ptr(dict.py(), value),
                &Bound::from_borrowed_ptr(dict.py(), copied),
            )
        };
        if key != name || (value != copied || is_container(value)) && !is_same() {
            return false;
        }
    }
    dict.len() == copied.len()
}

/// The members of a dictionary without references of their own, which would be most of the work. Nobody may change it
/// meanwhile.
struct Lending<'a, 'py> {
    dict: &'a Bound<'py, PyDict>,
    position: ffi::Py_ssize_t,
}

impl<'a, 'py> Lending<'a, 'py> {
    fn of(dict: &'a Bound<'py, PyDict>) -> Self {
        Self { dict, position: 0 }
    }

    fn next(&mut self) -> Option<(*mut ffi::PyObject, *mut ffi::PyObject)> {
        let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: a valid dictionary; what is lent is used before anything else happens to it.
        let found = unsafe {
            ffi::PyDict_Next(
                self.dict.as_ptr(),
                &raw mut self.position,
                &raw mut key,
                &raw mut value,
            )
        };
        (found != 0).then_some((key, value))
    }
}

fn is_container(value: *mut ffi::PyObject) -> bool {
    // SAFETY: a valid object.
    unsafe { ffi::PyDict_Check(value) != 0 || ffi::PyList_Check(value) != 0 }
}
