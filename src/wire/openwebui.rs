//! What Open WebUI's requests and presets say in words of its own: `params`, template variables, texts for objects.

mod logit_bias;
mod params;
mod template;

pub use logit_bias::logit_bias;
pub use params::{WrongParam, cast, merge};
pub use template::Template;
