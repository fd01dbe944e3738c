//! C: what clients do to a gateway.

mod bodies;
mod framing;
mod leaving;
mod slow;
