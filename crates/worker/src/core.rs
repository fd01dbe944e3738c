//! [`Core`]: frames in, frames out, over one socket.

use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use frames::{Decoder, Frame, HEADER_BYTES, Kind, MAX_PAYLOAD_BYTES};
use jiter::{PythonParse, StringCacheMode, map_json_error};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use crate::batch::Batch;
use crate::encode;
use crate::opened::Opened;
use crate::prototypes::Prototypes;
use crate::socket::{self, Received};
use crate::text::without_surrogates;

/// Bytes read before the frames among them are acted on.
const READ_LIMIT_BYTES: usize = 1024 * 1024;

/// Memory kept for writing values; one long value is no reason to keep more.
const SCRATCH_BYTES: usize = 256 * 1024;

/// A frame as Python sees it: kind, id, flags, handler, payload.
type PythonFrame<'py> = (u8, u32, u8, u16, Bound<'py, PyAny>);

/// The payload of a call, parsed in its turn: a burst of calls is no burst of objects.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Text(Bytes);

#[pymethods]
impl Text {
    /// What it stands for.
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        parse(py, &self.0)
    }
}

/// The worker's end of its connection. Any thread may send; only the loop's thread reads and flushes.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Core {
    fd: RawFd,
    decoder: Mutex<Decoder>,
    /// Frames not yet written. Its lock is never held while Python code can run: writing a value may call
    /// the function's code, which may print, which sends.
    out: Mutex<BytesMut>,
    /// Memory for the next value that is written: one that begins small is moved again and again as it grows.
    scratch: Mutex<BytesMut>,
    /// Of what requests tell functions about themselves.
    prototypes: Arc<Prototypes>,
}

#[pymethods]
impl Core {
    /// Takes the socket `fd`, by a descriptor of its own.
    #[new]
    fn new(fd: RawFd) -> PyResult<Self> {
        let fd = socket::duplicate(fd)?;
        socket::set_nonblocking(fd)?;
        Ok(Self {
            fd,
            decoder: Mutex::default(),
            out: Mutex::default(),
            scratch: Mutex::default(),
            prototypes: Arc::default(),
        })
    }

    /// The descriptor to wait on.
    fn fileno(&self) -> RawFd {
        self.fd
    }

    /// Reads what has arrived, up to about 1 MiB; `None` once the gateway has closed its end.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Option<Vec<PythonFrame<'py>>>> {
        let (frames, ended) = self.receive()?;
        if frames.is_empty() && ended {
            return Ok(None);
        }
        let frames = frames.iter().map(|frame| self.to_python(py, frame));
        frames.collect::<PyResult<Vec<_>>>().map(Some)
    }

    /// Queues a frame whose payload is `value` as JSON; gives the length of that.
    fn send(
        &self,
        kind: u8,
        id: u32,
        flags: u8,
        handler: u16,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<usize> {
        self.send_written((kind, id, flags, handler), |out| encode::write(value, out))
    }

    /// Queues the answer of a hook that takes a body and gives one back: that, but for its `metadata`, which goes beside
    /// it if it is news; gives the length.
    fn send_body(
        &self,
        id: u32,
        body: &Bound<'_, PyDict>,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        self.send_written((Kind::Reply.code(), id, 0, 0), |out| {
            encode::write_body(body, metadata, out)
        })
    }

    /// Queues the answer to a batch of events: what was made of each, `None` where it was dropped; gives the length.
    fn send_events(&self, id: u32, batch: &Batch, made: &Bound<'_, PyList>) -> PyResult<usize> {
        self.send_written((Kind::Reply.code(), id, 0, 0), |out| batch.write(made, out))
    }

    /// Queues a frame whose payload is the bytes, or the UTF-8 of the string, as they are; gives their number.
    fn send_raw(
        &self,
        kind: u8,
        id: u32,
        flags: u8,
        handler: u16,
        payload: &Bound<'_, PyAny>,
    ) -> PyResult<usize> {
        let header = (kind, id, flags, handler);
        if let Ok(bytes) = payload.cast::<PyBytes>() {
            return self.queue(header, bytes.as_bytes());
        }
        let text = payload.cast::<PyString>().map_err(PyErr::from)?;
        match text.to_str() {
            Ok(text) => self.queue(header, text.as_bytes()),
            Err(_) => self.queue(header, without_surrogates(text)?.as_bytes()),
        }
    }

    /// Writes what is queued; false if the socket is full, then call again once it is writable.
    fn flush(&self) -> PyResult<bool> {
        Ok(socket::transmit(self.fd, &mut lock(&self.out))?)
    }
}

impl Core {
    fn send_written(
        &self,
        header: Header,
        write: impl FnOnce(&mut BytesMut) -> PyResult<()>,
    ) -> PyResult<usize> {
        // Taken out: writing a value may run code that sends another.
        let mut payload = std::mem::take(&mut *lock(&self.scratch));
        payload.clear();
        let written = write(&mut payload).and_then(|()| self.queue(header, &payload));
        if payload.capacity() <= SCRATCH_BYTES {
            *lock(&self.scratch) = payload;
        }
        written
    }

    fn receive(&self) -> PyResult<(Vec<Frame>, bool)> {
        let mut decoder = lock(&self.decoder);
        let ended = fill(self.fd, &mut decoder.buffer)?;
        let mut frames = Vec::new();
        while let Some(frame) = decoder
            .next_frame()
            .map_err(|error| PyValueError::new_err(error.to_string()))?
        {
            frames.push(frame);
        }
        Ok((frames, ended))
    }

    fn to_python<'py>(&self, py: Python<'py>, frame: &Frame) -> PyResult<PythonFrame<'py>> {
        let payload = match frame.kind {
            _ if frame.payload.is_empty() => py.None().into_bound(py),
            Kind::Credit => PyBytes::new(py, &frame.payload).into_any(),
            Kind::Open => {
                Bound::new(py, Opened::read(&frame.payload, &self.prototypes)?)?.into_any()
            }
            Kind::Events => Bound::new(py, Batch::read(&frame.payload)?)?.into_any(),
            Kind::Call => Bound::new(py, Text(frame.payload.clone()))?.into_any(),
            _ => parse(py, &frame.payload)?,
        };
        let header = (frame.kind.code(), frame.id, frame.flags, frame.handler);
        Ok((header.0, header.1, header.2, header.3, payload))
    }

    fn queue(&self, (kind, id, flags, handler): Header, payload: &[u8]) -> PyResult<usize> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(PyValueError::new_err(format!(
                "result of {} bytes is over the limit of {MAX_PAYLOAD_BYTES} bytes",
                payload.len()
            )));
        }
        let length = u32::try_from(payload.len()).expect("the limit is below what a u32 can say");
        let mut out = lock(&self.out);
        out.reserve(HEADER_BYTES + payload.len());
        out.put_u32_le(length);
        out.put_u32_le(id);
        out.put_u8(kind);
        out.put_u8(flags);
        out.put_u16_le(handler);
        out.put_slice(payload);
        Ok(payload.len())
    }
}

type Header = (u8, u32, u8, u16);

/// Locks also after a panic: what the locks guard is never left half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads until nothing is left or enough is there; true if the gateway has closed its end.
fn fill(fd: RawFd, buffer: &mut BytesMut) -> PyResult<bool> {
    let mut total = 0;
    while total < READ_LIMIT_BYTES {
        match socket::receive(fd, buffer)? {
            Received::End => return Ok(true),
            Received::Nothing | Received::Bytes { all: true, .. } => break,
            Received::Bytes { count, .. } => total += count,
        }
    }
    Ok(false)
}

/// The value that JSON text stands for.
///
/// # Errors
///
/// If the text is no JSON.
#[pyfunction]
pub(crate) fn loads<'py>(text: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
    parse(text.py(), text.as_bytes())
}

/// The value that JSON text stands for, with names of members that are kept for the next text.
///
/// # Errors
///
/// If the text is no JSON.
pub(crate) fn parse<'py>(py: Python<'py>, payload: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let parser = PythonParse {
        cache_mode: StringCacheMode::Keys,
        ..PythonParse::default()
    };
    parser
        .python_parse(py, payload)
        .map_err(|error| map_json_error(payload, &error))
}
