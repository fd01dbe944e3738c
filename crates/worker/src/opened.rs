//! What a function is told of a request, parsed when it asks: most functions look at little of it.

use std::sync::Arc;

use frames::{Opening, Places, Told};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::prototypes::{Prototype, Prototypes};
use crate::shape::Shape;

/// The payload of an `Open` frame. A part is made anew each time it is asked for.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Opened {
    /// The function's slot.
    #[pyo3(get)]
    slot: u32,
    /// The version of its valves.
    #[pyo3(get)]
    valves: u64,
    /// A copy, because the memory that was read into is used again.
    payload: Box<[u8]>,
    places: Places,
    prototypes: Arc<Prototypes>,
}

/// A value, and its prototype.
type Lent<'py> = (Bound<'py, PyAny>, Prototype);

#[pymethods]
impl Opened {
    /// `__user__`.
    fn user<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.own(py, Told::User)
    }

    /// The caller's values for the function's user valves, or `None`.
    fn user_valves<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.own(py, Told::UserValves)
    }

    /// `__model__`.
    fn model<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.own(py, Told::Model)
    }

    /// What the HTTP request was.
    fn request<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.own(py, Told::Request)
    }

    /// The slots of the functions that this one may find beside it; `None` if it is in no group.
    fn siblings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.own(py, Told::Siblings)
    }

    /// `__metadata__`, to change at will, and what it was.
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Lent<'py>> {
        let shape = match self.places.of(Told::Metadata) {
            Some(place) => self.prototypes.of(py, &self.payload[place])?,
            None => Arc::new(Shape::of(py.None().bind(py))),
        };
        Ok((shape.copy(py, None)?, Prototype(shape)))
    }
}

impl Opened {
    /// Reads the payload of an `Open` frame.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub(crate) fn read(payload: &[u8], prototypes: &Arc<Prototypes>) -> PyResult<Self> {
        let opening = Opening::decode(payload)
            .ok_or_else(|| PyValueError::new_err("the payload of an `Open` frame is garbled"))?;
        Ok(Self {
            slot: opening.slot,
            valves: opening.valves,
            places: opening.places(),
            payload: payload.into(),
            prototypes: Arc::clone(prototypes),
        })
    }

    fn own<'py>(&self, py: Python<'py>, told: Told) -> PyResult<Bound<'py, PyAny>> {
        match self.places.of(told) {
            Some(place) => self.prototypes.of(py, &self.payload[place])?.copy(py, None),
            None => Ok(py.None().into_bound(py)),
        }
    }
}
