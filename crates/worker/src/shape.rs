//! A JSON value that is copied again and again, and told from what a function has made of a copy.
//!
//! A copy shares everything that cannot change with its original, so making one costs a tenth of parsing, and what nobody
//! has touched is known without writing it: it is the very same.

use std::sync::Arc;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

/// A value and what is in it. The value itself is copied, never handed out.
#[derive(Debug)]
pub(crate) enum Shape {
    /// An object.
    Dict(Py<PyDict>, Box<[Member]>),
    /// An array.
    List(Box<[Arc<Shape>]>),
    /// A value without parts.
    Leaf(Py<PyAny>),
}

/// A member of an object.
#[derive(Debug)]
pub(crate) struct Member {
    name: Py<PyAny>,
    shape: Arc<Shape>,
}

/// A value that stands in the place of a leaf, of which so many are before it.
#[derive(Debug)]
pub(crate) struct Other<'a, 'py> {
    /// The leaf.
    pub(crate) leaf: usize,
    /// The value.
    pub(crate) value: &'a Bound<'py, PyAny>,
}

/// Leaves that are no longer what they were, in order.
pub(crate) type Changes<'py> = Vec<(usize, Bound<'py, PyAny>)>;

/// How many there are in a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Members.
    pub(crate) names: usize,
    /// Values without parts.
    pub(crate) leaves: usize,
}

impl Shape {
    /// That of `value`, of which nobody else may have any container.
    pub(crate) fn of(value: &Bound<'_, PyAny>) -> Self {
        if let Ok(dict) = value.cast_exact::<PyDict>() {
            let members = dict.iter().map(|(name, value)| Member {
                name: name.unbind(),
                shape: Arc::new(Self::of(&value)),
            });
            return Self::Dict(dict.clone().unbind(), members.collect());
        }
        match value.cast_exact::<PyList>() {
            Ok(list) => Self::List(list.iter().map(|it| Arc::new(Self::of(&it))).collect()),
            Err(_) => Self::Leaf(value.clone().unbind()),
        }
    }

    /// That of an object with these members, no two of one name.
    ///
    /// # Errors
    ///
    /// If there is no memory.
    pub(crate) fn of_members(py: Python<'_>, members: Vec<(String, Arc<Self>)>) -> PyResult<Self> {
        let dict = PyDict::new(py);
        let members = members.into_iter().map(|(name, shape)| {
            // Not interned: a client may have chosen the name, and some Pythons never let go of interned text.
            let name = PyString::new(py, &name).into_any();
            match &*shape {
                Self::Leaf(value) => dict.set_item(&name, value)?,
                // A copy gets one of its own in this place.
                _ => dict.set_item(&name, py.None())?,
            }
            let name = name.unbind();
            Ok(Member { name, shape })
        });
        let members = members.collect::<PyResult<Box<[_]>>>()?;
        Ok(Self::Dict(dict.unbind(), members))
    }

    /// How much there is in it.
    pub(crate) fn count(&self) -> Count {
        let add = |sum: Count, part: &Arc<Self>| sum.and(part.count());
        match self {
            Self::Dict(_, members) => {
                let own = Count::of(members.len(), 0);
                members.iter().map(|it| &it.shape).fold(own, add)
            }
            Self::List(items) => items.iter().fold(Count::default(), add),
            Self::Leaf(_) => Count::of(0, 1),
        }
    }

    /// A value of the asker's own, equal to this one but for an `other` leaf.
    ///
    /// # Errors
    ///
    /// If there is no memory.
    pub(crate) fn copy<'py>(
        &self,
        py: Python<'py>,
        other: Option<&Other<'_, 'py>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Copy { other, leaf: 0 }.of(py, self)
    }

    /// What has changed in a copy that `other` was put into; `None` if it is more than some leaves.
    pub(crate) fn changes<'py>(
        &self,
        copied: &Bound<'py, PyAny>,
        other: Option<&Other<'_, 'py>>,
    ) -> Option<Changes<'py>> {
        let mut comparison = Comparison {
            other,
            leaf: 0,
            changes: Vec::new(),
        };
        comparison
            .is_alike(self, copied)
            .then_some(comparison.changes)
    }

    /// Whether a copy is as it was. One in which something was put in the place of its equal counts as changed.
    pub(crate) fn is_untouched(&self, copied: &Bound<'_, PyAny>) -> bool {
        self.changes(copied, None)
            .is_some_and(|changes| changes.is_empty())
    }
}

impl Count {
    fn of(names: usize, leaves: usize) -> Self {
        Self { names, leaves }
    }

    fn and(self, other: Self) -> Self {
        Self::of(self.names + other.names, self.leaves + other.leaves)
    }
}

/// A copy under way.
struct Copy<'a, 'py> {
    other: Option<&'a Other<'a, 'py>>,
    /// The leaf that is next.
    leaf: usize,
}

impl<'py> Copy<'_, 'py> {
    fn of(&mut self, py: Python<'py>, shape: &Shape) -> PyResult<Bound<'py, PyAny>> {
        match shape {
            Shape::Dict(dict, members) => {
                let copied = dict.bind(py).copy()?;
                for member in members {
                    if let Some(part) = self.part(py, &member.shape)? {
                        copied.set_item(&member.name, part)?;
                    }
                }
                Ok(copied.into_any())
            }
            Shape::List(items) => {
                let copied = PyList::empty(py);
                for item in items {
                    copied.append(self.of(py, item)?)?;
                }
                Ok(copied.into_any())
            }
            Shape::Leaf(value) => {
                let other = self.other_leaf().cloned();
                Ok(other.unwrap_or_else(|| value.bind(py).clone()))
            }
        }
    }

    /// What has to be put into the copy of a dictionary in the place of what is there.
    fn part(&mut self, py: Python<'py>, shape: &Shape) -> PyResult<Option<Bound<'py, PyAny>>> {
        match shape {
            Shape::Leaf(_) => Ok(self.other_leaf().cloned()),
            _ => self.of(py, shape).map(Some),
        }
    }

    fn other_leaf(&mut self) -> Option<&Bound<'py, PyAny>> {
        let leaf = self.leaf;
        self.leaf += 1;
        let other = self.other.filter(|other| other.leaf == leaf);
        other.map(|other| other.value)
    }
}

/// A comparison under way.
struct Comparison<'a, 'py> {
    other: Option<&'a Other<'a, 'py>>,
    /// The leaf that is next.
    leaf: usize,
    changes: Changes<'py>,
}

impl<'py> Comparison<'_, 'py> {
    /// Whether `is` has the same members in the same order; notes leaves that are others.
    fn is_alike(&mut self, was: &Shape, is: &Bound<'py, PyAny>) -> bool {
        match was {
            // Of a class of its own it is written like any.
            Shape::Dict(_, members) => is
                .cast::<PyDict>()
                .is_ok_and(|is| self.are_members_alike(members, is)),
            Shape::List(items) => is.cast::<PyList>().is_ok_and(|is| {
                let mut pairs = items.iter().zip(is);
                items.len() == is.len() && pairs.all(|(was, is)| self.is_alike(was, &is))
            }),
            Shape::Leaf(value) => {
                self.compare_leaf(value.as_ptr(), is);
                true
            }
        }
    }

    fn are_members_alike(&mut self, members: &[Member], is: &Bound<'py, PyDict>) -> bool {
        let mut others = Lending::of(is);
        for member in members {
            let Some((name, value)) = others.next() else {
                return false;
            };
            // SAFETY: it lives as long as the dictionary has it, and comparing runs no code that could change that.
            let value = unsafe { Borrowed::from_ptr(is.py(), value) };
            if name != member.name.as_ptr() || !self.is_alike(&member.shape, &value) {
                return false;
            }
        }
        members.len() == is.len()
    }

    fn compare_leaf(&mut self, was: *mut ffi::PyObject, is: &Bound<'py, PyAny>) {
        let other = self.other.filter(|other| other.leaf == self.leaf);
        if is.as_ptr() != other.map_or(was, |other| other.value.as_ptr()) {
            self.changes.push((self.leaf, is.clone()));
        }
        self.leaf += 1;
    }
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
