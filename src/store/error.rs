//! What can go wrong with the store.

use std::error::Error as StdError;
use std::time::Duration;
use std::{fmt, io};

use http::StatusCode;
use rusqlite::ffi;

use crate::error::{Error, Kind};

/// When to ask again after a hand-over: the new process answers then.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Somebody else kept the database locked for longer than we wait.
    Busy,
    /// The disk is full.
    Full,
    /// The database is damaged.
    Corrupt,
    /// A newer version of Sluicegate wrote the database.
    NewerSchema,
    /// Another process has the data folder.
    Locked,
    /// A new process of this gateway takes the data folder over, or has done so.
    HandedOver,
    /// There is no such row.
    NotFound,
    /// A row of this id or value is there already.
    Conflict,
    /// Anything else.
    Other,
}

/// An error of the store: what happened, in words, and its cause.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// An error of `kind` with a message.
    #[must_use]
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// There is no such row: `what` names it.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StoreErrorKind::NotFound, format!("no such {what}"))
    }

    /// A file operation failed: `doing` says which.
    pub(super) fn io(doing: String, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreErrorKind::Full,
            _ => StoreErrorKind::Other,
        };
        Self::new(kind, doing).with_source(source)
    }

    /// Nothing may be written here: a new process takes over, or has done so.
    pub(super) fn handed_over() -> Self {
        let message = "a new process of this gateway takes over: try again";
        Self::new(StoreErrorKind::HandedOver, message)
    }

    /// The work panicked, or the runtime is ending.
    pub(super) fn interrupted(source: tokio::task::JoinError) -> Self {
        Self::new(StoreErrorKind::Other, "database call was interrupted").with_source(source)
    }

    /// A statement on a database that may be any file failed. Where no statement of ours has run
    /// yet, what SQLite takes for a mistake in SQL is a schema that it cannot read.
    pub(super) fn unreadable(source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ffi::ErrorCode::Unknown) => {
                Self::new(StoreErrorKind::Corrupt, "database is damaged").with_source(source)
            }
            _ => source.into(),
        }
    }

    fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(source: rusqlite::Error) -> Self {
        let kind = kind_of(&source);
        let message = match kind {
            StoreErrorKind::Busy => "database is locked by another process",
            StoreErrorKind::Full => "disk is full",
            StoreErrorKind::Corrupt => "database is damaged",
            StoreErrorKind::Conflict => "id or value is taken",
            StoreErrorKind::NotFound => "no such row",
            _ => "database call failed",
        };
        Self::new(kind, message).with_source(source)
    }
}

fn kind_of(error: &rusqlite::Error) -> StoreErrorKind {
    let failure = match error {
        rusqlite::Error::SqliteFailure(failure, _) => failure,
        rusqlite::Error::QueryReturnedNoRows => return StoreErrorKind::NotFound,
        // Our tables are strict and hold what we wrote: a value of another type or shape is not
        // that.
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => return StoreErrorKind::Corrupt,
        _ => return StoreErrorKind::Other,
    };
    match failure.code {
        ffi::ErrorCode::DatabaseBusy | ffi::ErrorCode::DatabaseLocked => StoreErrorKind::Busy,
        ffi::ErrorCode::DiskFull => StoreErrorKind::Full,
        ffi::ErrorCode::DatabaseCorrupt | ffi::ErrorCode::NotADatabase => StoreErrorKind::Corrupt,
        _ => match failure.extended_code {
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                StoreErrorKind::Conflict
            }
            _ => StoreErrorKind::Other,
        },
    }
}

/// For the request path: what the caller can act on keeps its words, the rest goes to the log.
impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let (kind, status) = match error.kind {
            StoreErrorKind::NotFound => (Kind::NotFound, None),
            StoreErrorKind::Conflict => (Kind::Conflict, None),
            StoreErrorKind::Busy => (Kind::Internal, Some(StatusCode::SERVICE_UNAVAILABLE)),
            StoreErrorKind::Full => (Kind::Internal, Some(StatusCode::INSUFFICIENT_STORAGE)),
            StoreErrorKind::HandedOver => {
                let answer = Self::new(Kind::ShuttingDown, error.message.clone());
                return answer.with_retry_after(RETRY_AFTER).with_source(error);
            }
            _ => return Self::internal(error),
        };
        let answer = Self::new(kind, error.message.clone()).with_source(error);
        match status {
            Some(status) => answer.with_status(status),
            None => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_and_full_have_a_status_of_their_own() {
        let status = |kind| Error::from(StoreError::new(kind, "x")).status().as_u16();
        assert_eq!(status(StoreErrorKind::Busy), 503);
        assert_eq!(status(StoreErrorKind::HandedOver), 503);
        assert_eq!(status(StoreErrorKind::Full), 507);
        assert_eq!(status(StoreErrorKind::NotFound), 404);
        assert_eq!(status(StoreErrorKind::Conflict), 409);
        assert_eq!(status(StoreErrorKind::Corrupt), 500);
    }

    #[test]
    fn unforeseen_errors_keep_their_words_for_the_log() {
        let error = Error::from(StoreError::new(
            StoreErrorKind::Other,
            "/data/sluicegate.db",
        ));
        assert_eq!(error.message(), "internal error");
    }
}
