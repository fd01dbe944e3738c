//! Why a change was not made.

use std::fmt;

use crate::registry::loader::LoadError;
use crate::registry::revision::Stale;
use crate::registry::secrets::LooseMask;
use crate::store::StoreError;

/// Why a change was not made. Whatever served before still serves.
#[derive(Debug)]
pub enum ChangeError {
    /// The id is no identifier.
    InvalidId,
    /// The id is in use.
    IdTaken,
    /// There is no function of this id.
    UnknownFunction,
    /// The function is inactive, and this needs it to be active.
    Inactive,
    /// The function comes from the folder: its file is the place to change it.
    InFolder,
    /// The function has no such valves.
    NoValves,
    /// The function has no such version.
    UnknownVersion,
    /// The function's code was never loaded, and this needs it; the text says why.
    NotLoaded(String),
    /// A mask was sent for a value that is not stored; this is its field.
    LooseMask(String),
    /// The change was made for another state than the one that is.
    Stale(Stale),
    /// The code or the values were refused.
    Refused(LoadError),
    /// The change could not be kept.
    Store(StoreError),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidId => {
                f.write_str("Only alphanumeric characters and underscores are allowed in the id")
            }
            Self::IdTaken => f.write_str(
                "Uh-oh! This id is already registered. Please choose another id string.",
            ),
            Self::UnknownFunction | Self::NoValves | Self::UnknownVersion => {
                f.write_str("We could not find what you're looking for :/")
            }
            Self::Inactive => f.write_str("Function is not active"),
            Self::InFolder => f.write_str(
                "this function comes from the functions folder: change its file there, and its switches in the configuration",
            ),
            Self::LooseMask(field) => write!(
                f,
                "`{field}` holds the mask of a secret that is not stored: send the value itself"
            ),
            Self::Stale(stale) => write!(f, "{stale}"),
            Self::NotLoaded(why) => f.write_str(why),
            Self::Refused(error) => write!(f, "{error}"),
            Self::Store(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ChangeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<LooseMask> for ChangeError {
    fn from(mask: LooseMask) -> Self {
        Self::LooseMask(mask.0)
    }
}

impl From<Stale> for ChangeError {
    fn from(stale: Stale) -> Self {
        Self::Stale(stale)
    }
}

impl From<LoadError> for ChangeError {
    fn from(error: LoadError) -> Self {
        Self::Refused(error)
    }
}
