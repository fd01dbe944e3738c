//! Accepting connections and finding out what each request wants.

mod budget;
pub mod drain;
mod guard;
mod head;
pub mod listen;
mod pressure;
mod receive;
mod routes;
pub mod tls;

pub use self::budget::Budget;
pub use self::head::{HeadCheck, Phase, Verdict};
pub use self::pressure::{Bound, Pressure};
pub use self::receive::BodyLimits;
pub use self::routes::App;
