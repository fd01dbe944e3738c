//! Events of a stream are alike: each differs from the one before in one string. Such an event is made by copying the one
//! before, and written by copying its text, which costs a quarter of reading and writing it: 5 thousand instructions for 22.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut, BytesMut};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyString};

use crate::encode;
use crate::leaves::Leaves;
use crate::shape::{Changes, Count, Other, Shape};
use crate::text::is_plain;

/// The longest text that is kept, in bytes.
const KEPT_BYTES: usize = 16 * 1024;

/// An event that others are likely to be like.
#[derive(Debug)]
pub(crate) struct Template {
    text: Box<[u8]>,
    /// What it stands for.
    shape: Shape,
    /// Where its values without parts stand.
    leaves: Vec<Range<usize>>,
    /// The one in which others were last seen to differ.
    varying: AtomicUsize,
}

/// What an event has that its template has not: the string of one leaf.
#[derive(Debug)]
pub(crate) struct Own {
    leaf: usize,
    value: Py<PyAny>,
}

impl Template {
    /// One of `text`, which stands for `value`; nobody else may have that. `None` if the text is too long or names a
    /// member twice.
    pub(crate) fn of(text: &[u8], value: &Bound<'_, PyAny>) -> Option<Self> {
        if text.len() > KEPT_BYTES {
            return None;
        }
        let Leaves { places, names } = Leaves::of(text);
        let shape = Shape::of(value);
        let leaves = places.len();
        // Of members with one name the value has only the last, and the text must not say more than it.
        (shape.count() == Count { names, leaves }).then(|| Self {
            text: text.into(),
            shape,
            leaves: places,
            varying: AtomicUsize::new(0),
        })
    }

    /// What `text` stands for, if it is like this one; and in what it differs.
    ///
    /// # Errors
    ///
    /// If there is no memory.
    pub(crate) fn read<'py>(
        &self,
        py: Python<'py>,
        text: &[u8],
    ) -> PyResult<Option<(Bound<'py, PyAny>, Option<Own>)>> {
        if *text == *self.text {
            return Ok(Some((self.shape.copy(py, None)?, None)));
        }
        let Some((leaf, Ok(value))) = self
            .difference(text)
            .map(|(leaf, place)| (leaf, str::from_utf8(&text[place])))
        else {
            return Ok(None);
        };
        let value = PyString::new(py, value).into_any();
        let other = Other {
            leaf,
            value: &value,
        };
        let made = self.shape.copy(py, Some(&other))?;
        let value = value.unbind();
        Ok(Some((made, Some(Own { leaf, value }))))
    }

    /// The leaf whose string is another in `text`, and where that stands without its quotes; `None` if it is not all in
    /// which they differ.
    fn difference(&self, text: &[u8]) -> Option<(usize, Range<usize>)> {
        let usual = self.varying.load(Ordering::Relaxed);
        if let Some(place) = self.place(usual, text) {
            return Some((usual, place));
        }
        let leaf = self.leaf_at(first_difference(&self.text, text));
        self.varying.store(leaf, Ordering::Relaxed);
        Some((leaf, self.place(leaf, text)?))
    }

    /// Where the string of `leaf` stands in `text`, without its quotes, if that differs in nothing else.
    fn place(&self, leaf: usize, text: &[u8]) -> Option<Range<usize>> {
        let place = self.leaves.get(leaf)?;
        let (start, last) = (place.start + 1, place.end - 1);
        let end = text.len().checked_sub(self.text.len() - last)?;
        let is_like = self.text[place.start] == b'"'
            && end >= start
            && text[..start] == self.text[..start]
            && text[end..] == self.text[last..];
        // What is within quotes and has neither quotes nor escapes is one string.
        (is_like && is_plain(&text[start..end])).then_some(start..end)
    }

    /// The leaf that stands at `place`, or behind it.
    fn leaf_at(&self, place: usize) -> usize {
        self.leaves.partition_point(|leaf| leaf.end <= place)
    }

    /// Appends what a function has `made` of an event of this `text`, which differed from this one in its `own`; false,
    /// and nothing is appended, if too much was changed for that.
    ///
    /// # Errors
    ///
    /// If there is no memory.
    pub(crate) fn write(
        &self,
        made: &Bound<'_, PyAny>,
        text: &[u8],
        own: Option<&Own>,
        out: &mut BytesMut,
    ) -> PyResult<bool> {
        let own = own.map(|own| (own.leaf, own.value.bind(made.py())));
        let other = own.map(|(leaf, value)| Other { leaf, value });
        let changes = self.shape.changes(made, other.as_ref());
        let Some(mut changes) = changes.filter(|it| it.iter().all(|(_, value)| is_simple(value)))
        else {
            return Ok(false);
        };
        if changes.is_empty() {
            out.put_slice(text);
            return Ok(true);
        }
        // The template's text with the changes in it, and what the event had of its own unless that was changed too.
        if let Some((leaf, value)) = own
            && let Err(place) = changes.binary_search_by_key(&leaf, |(leaf, _)| *leaf)
        {
            changes.insert(place, (leaf, value.clone()));
        }
        self.write_changed(&changes, out)?;
        Ok(true)
    }

    fn write_changed(&self, changes: &Changes<'_>, out: &mut BytesMut) -> PyResult<()> {
        let mut from = 0;
        for (leaf, value) in changes {
            let place = &self.leaves[*leaf];
            out.put_slice(&self.text[from..place.start]);
            encode::write(value, out)?;
            from = place.end;
        }
        out.put_slice(&self.text[from..]);
        Ok(())
    }
}

/// Whether writing a value can neither fail nor run code.
fn is_simple(value: &Bound<'_, PyAny>) -> bool {
    value.cast_exact::<PyString>().is_ok()
        || value.is_none()
        || value.cast_exact::<PyInt>().is_ok()
        || value.cast_exact::<PyBool>().is_ok()
}

fn first_difference(one: &[u8], other: &[u8]) -> usize {
    let mut pairs = one.iter().zip(other);
    let place = pairs.position(|(one, other)| one != other);
    place.unwrap_or(one.len().min(other.len()))
}
