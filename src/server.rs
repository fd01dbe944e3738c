//! Accepting connections and finding out what each request wants.

pub mod drain;
mod guard;
mod head;
pub mod listen;
mod receive;
mod routes;
pub mod tls;

pub use self::routes::App;
