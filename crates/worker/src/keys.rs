//! Keys of Python dictionaries as names of JSON members, by the rules of Python's own `json`.

use bytes::{BufMut, BytesMut};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};

use crate::encode;
use crate::text::write_string;

/// Appends `key` as a member's name.
///
/// # Errors
///
/// If the key is neither a string nor something `json` turns into one.
pub(crate) fn write_key(key: &Bound<'_, PyAny>, out: &mut BytesMut) -> PyResult<()> {
    if let Ok(text) = key.cast::<PyString>() {
        return write_string(text, out);
    }
    out.put_u8(b'"');
    write_unquoted(key, out)?;
    out.put_u8(b'"');
    Ok(())
}

fn write_unquoted(key: &Bound<'_, PyAny>, out: &mut BytesMut) -> PyResult<()> {
    if key.is_none() {
        out.put_slice(b"null");
        Ok(())
    } else if let Ok(flag) = key.cast::<PyBool>() {
        encode::write_bool(flag.is_true(), out);
        Ok(())
    } else if let Ok(number) = key.cast::<PyInt>() {
        encode::write_int(number, out)
    } else if key.is_instance_of::<PyFloat>() {
        out.put_slice(key.repr()?.to_str()?.as_bytes());
        Ok(())
    } else {
        let name = key.get_type().name()?;
        Err(PyTypeError::new_err(format!(
            "keys must be str, int, float, bool or None, not {name}"
        )))
    }
}

/// The key as it stands in an error's path.
pub(crate) fn path_segment(key: &Bound<'_, PyAny>) -> String {
    let mut name = BytesMut::new();
    if write_unquoted(key, &mut name).is_ok() {
        return String::from_utf8_lossy(&name).into_owned();
    }
    key.str().map_or_else(
        |_| "?".to_owned(),
        |text| text.to_string_lossy().into_owned(),
    )
}
