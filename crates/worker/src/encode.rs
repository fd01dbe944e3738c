//! Python values as JSON: compact, UTF-8, in the order the function left them in.

use std::fmt::Write as _;

use bytes::{BufMut, BytesMut};
use pyo3::exceptions::{PyRecursionError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::keys::{path_segment, write_key};
use crate::text::write_string;

/// Deepest nesting of a body, an event or metadata: the gateway reads no deeper (`MAX_DEPTH` of `src/wire/json.rs`), and a
/// function is to hear of it that made them so.
const DEPTH_LIMIT: usize = 127;

/// Levels of ours around them in a frame: its members, and the list of a batch.
const AROUND: usize = 2;

/// Why a value cannot be written.
#[derive(Debug)]
enum Fault {
    /// Python has the exception already.
    Python(PyErr),
    /// A float JSON has no word for, with the way to it, innermost first.
    NotFinite { value: f64, path: Vec<String> },
}

impl From<PyErr> for Fault {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl Fault {
    /// Notes one more step of the way while the recursion unwinds, so that writing costs nothing for it.
    fn within(mut self, segment: impl FnOnce() -> String) -> Self {
        if let Self::NotFinite { path, .. } = &mut self {
            path.push(segment());
        }
        self
    }

    fn into_error(self) -> PyErr {
        match self {
            Self::Python(error) => error,
            Self::NotFinite { value, mut path } => {
                path.push("value".to_owned());
                path.reverse();
                PyValueError::new_err(format!(
                    "float value is not JSON compliant: {value} at `{}`",
                    path.concat()
                ))
            }
        }
    }
}

/// Appends `value` as JSON.
///
/// # Errors
///
/// `TypeError` for a type JSON does not know, `ValueError` for NaN and infinities, `RecursionError` for
/// values nested too deeply, and whatever a value's own conversion raises.
pub(crate) fn write(value: &Bound<'_, PyAny>, out: &mut BytesMut) -> PyResult<()> {
    write_value(value, out, 0).map_err(Fault::into_error)
}

/// Appends what a hook made of a body: `{"body": …}`, without the body's `metadata`, and `"metadata": …` behind it if
/// there is any.
///
/// # Errors
///
/// As [`write`].
pub(crate) fn write_body(
    body: &Bound<'_, PyDict>,
    metadata: Option<&Bound<'_, PyAny>>,
    out: &mut BytesMut,
) -> PyResult<()> {
    out.put_slice(b"{\"body\":");
    write_dict_without(body, Some("metadata"), out, AROUND + 1)
        .map_err(|fault| fault.within(|| ".body".to_owned()).into_error())?;
    if let Some(metadata) = metadata {
        out.put_slice(b",\"metadata\":");
        write_value(metadata, out, AROUND)
            .map_err(|fault| fault.within(|| ".metadata".to_owned()).into_error())?;
    }
    out.put_u8(b'}');
    Ok(())
}

/// Appends what a hook made of an event, the one at `place` of a batch.
///
/// # Errors
///
/// As [`write`].
pub(crate) fn write_event(
    event: &Bound<'_, PyAny>,
    place: usize,
    out: &mut BytesMut,
) -> PyResult<()> {
    write_value(event, out, AROUND)
        .map_err(|fault| fault.within(|| format!(".events[{place}]")).into_error())
}

/// The JSON of `value` as bytes. So many of its outer levels are `ours`: those of a whole frame, unless told otherwise.
///
/// # Errors
///
/// As [`write`].
#[pyfunction]
#[pyo3(signature = (value, ours = AROUND))]
pub(crate) fn dumps<'py>(value: &Bound<'py, PyAny>, ours: usize) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = BytesMut::with_capacity(256);
    write_value(value, &mut out, AROUND.saturating_sub(ours)).map_err(Fault::into_error)?;
    Ok(PyBytes::new(value.py(), &out))
}

fn write_value(value: &Bound<'_, PyAny>, out: &mut BytesMut, depth: usize) -> Result<(), Fault> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(write_string(text, out)?);
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        return write_dict(dict, out, depth + 1);
    }
    if let Ok(list) = value.cast::<PyList>() {
        return write_list(list, out, depth + 1);
    }
    if value.is_none() {
        out.put_slice(b"null");
        return Ok(());
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        write_bool(flag.is_true(), out);
        return Ok(());
    }
    if let Ok(number) = value.cast::<PyInt>() {
        return Ok(write_int(number, out)?);
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return write_float(number.value(), out);
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return write_list(&tuple.to_list(), out, depth + 1);
    }
    let plain = plain_form(value, depth)?;
    write_value(&plain, out, depth + 1)
}

pub(crate) fn write_bool(flag: bool, out: &mut BytesMut) {
    out.put_slice(if flag { b"true" } else { b"false" });
}

/// Appends an integer of any size.
///
/// # Errors
///
/// If it has more digits than Python is willing to print.
pub(crate) fn write_int(number: &Bound<'_, PyInt>, out: &mut BytesMut) -> PyResult<()> {
    if let Ok(small) = number.extract::<i64>() {
        write!(out, "{small}").expect("writing to memory succeeds");
        return Ok(());
    }
    // The base class's own method: a subclass, such as an enum, may print something else.
    let digits = number
        .py()
        .get_type::<PyInt>()
        .call_method1("__repr__", (number,))?;
    out.put_slice(digits.cast::<PyString>()?.to_str()?.as_bytes());
    Ok(())
}

fn write_float(value: f64, out: &mut BytesMut) -> Result<(), Fault> {
    if !value.is_finite() {
        let path = Vec::new();
        return Err(Fault::NotFinite { value, path });
    }
    // Rust's shortest form that reads back as the same number, `1.0` and `1e16` as Python has them.
    write!(out, "{value:?}").expect("writing to memory succeeds");
    Ok(())
}

fn write_list(list: &Bound<'_, PyList>, out: &mut BytesMut, depth: usize) -> Result<(), Fault> {
    check_depth(depth)?;
    out.put_u8(b'[');
    let mut index = 0;
    // The length is asked for each time: a value's own conversion may change the list.
    while index < list.len() {
        if index > 0 {
            out.put_u8(b',');
        }
        write_value(&list.get_item(index)?, out, depth)
            .map_err(|fault| fault.within(|| format!("[{index}]")))?;
        index += 1;
    }
    out.put_u8(b']');
    Ok(())
}

fn write_dict(dict: &Bound<'_, PyDict>, out: &mut BytesMut, depth: usize) -> Result<(), Fault> {
    write_dict_without(dict, None, out, depth)
}

/// Appends a dictionary, but for the member of one name.
fn write_dict_without(
    dict: &Bound<'_, PyDict>,
    left_out: Option<&str>,
    out: &mut BytesMut,
    depth: usize,
) -> Result<(), Fault> {
    check_depth(depth)?;
    let members = dict.len();
    let mut position: ffi::Py_ssize_t = 0;
    let mut separator = b'{';
    while let Some((key, value)) = next_member(dict, &mut position) {
        if left_out.is_some_and(|name| is_text(&key, name)) {
            continue;
        }
        out.put_u8(separator);
        separator = b',';
        write_key(&key, out)?;
        out.put_u8(b':');
        write_value(&value, out, depth)
            .map_err(|fault| fault.within(|| format!(".{}", path_segment(&key))))?;
        // A value's own conversion is Python code, which may do anything.
        if dict.len() != members {
            let error = PyRuntimeError::new_err("dictionary changed size during iteration");
            return Err(Fault::Python(error));
        }
    }
    out.put_slice(if separator == b'{' { b"{}" } else { b"}" });
    Ok(())
}

fn is_text(key: &Bound<'_, PyAny>, text: &str) -> bool {
    key.cast::<PyString>()
        .is_ok_and(|key| key.to_str().is_ok_and(|key| key == text))
}

type Member<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// The next member of `dict`. pyo3's own iterator panics if the dictionary changes under it.
fn next_member<'py>(
    dict: &Bound<'py, PyDict>,
    position: &mut ffi::Py_ssize_t,
) -> Option<Member<'py>> {
    let mut key = std::ptr::null_mut();
    let mut value = std::ptr::null_mut();
    // SAFETY: a valid dictionary; PyDict_Next lends references, which are made our own before any Python
    // code can run. It checks `position` against the dictionary's present size.
    unsafe {
        if ffi::PyDict_Next(dict.as_ptr(), position, &raw mut key, &raw mut value) == 0 {
            return None;
        }
        Some((
            Bound::from_borrowed_ptr(dict.py(), key),
            Bound::from_borrowed_ptr(dict.py(), value),
        ))
    }
}

fn check_depth(depth: usize) -> PyResult<()> {
    if depth <= DEPTH_LIMIT + AROUND {
        return Ok(());
    }
    Err(PyRecursionError::new_err(format!(
        "value is circular or nested deeper than {DEPTH_LIMIT} levels"
    )))
}

/// What stands for an object of another type: the values of enums, the fields of models and dataclasses,
/// the text of dates and UUIDs, as the real product writes them.
fn plain_form<'py>(value: &Bound<'py, PyAny>, depth: usize) -> PyResult<Bound<'py, PyAny>> {
    check_depth(depth)?;
    let py = value.py();
    let class = value.get_type();
    if class.hasattr("model_dump")? {
        return value.call_method0("model_dump");
    }
    if value.is_instance(&py.import("enum")?.getattr("Enum")?)? {
        return value.getattr("value");
    }
    if class.hasattr("isoformat")? {
        return value.call_method0("isoformat");
    }
    if class.hasattr("__dataclass_fields__")? {
        return py.import("dataclasses")?.call_method1("asdict", (value,));
    }
    if value.is_instance(&py.import("uuid")?.getattr("UUID")?)? {
        return Ok(value.str()?.into_any());
    }
    let name = class.name()?;
    Err(PyTypeError::new_err(format!(
        "Object of type {name} is not JSON serializable"
    )))
}
