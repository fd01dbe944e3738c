//! Events on their way through the `stream` of one function.

use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use frames::texts;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::core::{lock, parse};
use crate::encode;
use crate::template::{Own, Template};

/// Templates that a request may make in vain. Where events are not alike, making them is only work.
const PATIENCE: u32 = 16;

/// The template of the events of one request.
#[pyclass(frozen)]
#[derive(Debug, Default)]
pub(crate) struct Templates(Mutex<Latest>);

/// Held to find out which one fits, or to put another in its place.
#[derive(Debug)]
struct Latest {
    template: Option<Arc<Template>>,
    patience: u32,
}

impl Default for Latest {
    fn default() -> Self {
        Self {
            template: None,
            patience: PATIENCE,
        }
    }
}

/// The payload of an `Events` frame.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Batch {
    payload: Bytes,
    batch: frames::Batch,
    /// How each event was read.
    readings: Mutex<Vec<Option<Reading>>>,
}

/// An event that is like its template.
#[derive(Debug)]
struct Reading {
    template: Arc<Template>,
    own: Option<Own>,
}

#[pymethods]
impl Templates {
    #[new]
    fn new() -> Self {
        Self::default()
    }
}

#[pymethods]
impl Batch {
    /// The request.
    #[getter]
    fn request(&self) -> u32 {
        self.batch.request
    }

    /// `__metadata__`, if there is news of it.
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let text = &self.payload[self.batch.metadata.clone()];
        (!text.is_empty()).then(|| parse(py, text)).transpose()
    }

    /// The events, to change at will.
    fn events<'py>(&self, py: Python<'py>, templates: &Templates) -> PyResult<Bound<'py, PyList>> {
        let mut latest = lock(&templates.0);
        let events = PyList::empty(py);
        let mut readings = Vec::with_capacity(self.batch.events.len());
        for place in &self.batch.events {
            let (event, reading) = latest.read(py, &self.payload[place.clone()])?;
            events.append(event)?;
            readings.push(reading);
        }
        *lock(&self.readings) = readings;
        Ok(events)
    }
}

impl Batch {
    /// Takes the payload of an `Events` frame.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub(crate) fn read(payload: &Bytes) -> PyResult<Self> {
        let batch = frames::Batch::decode(payload)
            .ok_or_else(|| PyValueError::new_err("the payload of an `Events` frame is garbled"))?;
        Ok(Self {
            payload: payload.clone(),
            batch,
            readings: Mutex::default(),
        })
    }

    /// Appends what a function has made of the events, `None` where it dropped one.
    ///
    /// # Errors
    ///
    /// As [`encode::write`].
    pub(crate) fn write(&self, made: &Bound<'_, PyList>, out: &mut BytesMut) -> PyResult<()> {
        let readings = std::mem::take(&mut *lock(&self.readings));
        for (place, event) in made.iter().enumerate() {
            if event.is_none() {
                texts::add(out, b"");
                continue;
            }
            let reading = readings.get(place).and_then(Option::as_ref);
            texts::add_written(out, |out| {
                let is_written = match reading {
                    Some(reading) => reading.write(&event, self.text(place), out)?,
                    None => false,
                };
                match is_written {
                    true => Ok(()),
                    false => encode::write_event(&event, place, out),
                }
            })?;
        }
        Ok(())
    }

    fn text(&self, place: usize) -> &[u8] {
        let place = self.batch.events.get(place).cloned();
        &self.payload[place.unwrap_or_default()]
    }
}

impl Reading {
    fn write(&self, made: &Bound<'_, PyAny>, text: &[u8], out: &mut BytesMut) -> PyResult<bool> {
        self.template.write(made, text, self.own.as_ref(), out)
    }
}

impl Latest {
    fn read<'py>(
        &mut self,
        py: Python<'py>,
        text: &[u8],
    ) -> PyResult<(Bound<'py, PyAny>, Option<Reading>)> {
        if let Some(template) = &self.template
            && let Some((event, own)) = template.read(py, text)?
        {
            self.patience = PATIENCE;
            let template = Arc::clone(template);
            return Ok((event, Some(Reading { template, own })));
        }
        let event = parse(py, text)?;
        if self.patience > 0 {
            self.patience -= 1;
            // The event itself becomes the template, and a copy goes to the function.
            self.template = Template::of(text, &event).map(Arc::new);
            if let Some(template) = &self.template
                && let Some((copied, own)) = template.read(py, text)?
            {
                let template = Arc::clone(template);
                return Ok((copied, Some(Reading { template, own })));
            }
        }
        Ok((event, None))
    }
}
