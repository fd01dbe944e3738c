//! U: what model servers do to a gateway.

mod answers;
mod connections;
mod cuts;
mod sdk;
mod streams;
