//! What a build depends on, and whether a change of the sources can matter to it.

mod changes;
mod classes;
mod encoding;
mod error;
#[cfg(test)]
pub(crate) mod model;
mod nearness;
mod paths;
mod reads;
mod stale;
mod touches;

pub use changes::{VisibleChange, What};
pub use classes::Edges;
pub use encoding::RULE_VERSION;
pub(crate) use encoding::{Reader, put_number, put_set};
pub use error::ClosureError;
pub use paths::Paths;
pub(crate) use paths::display;
pub use reads::Closure;
pub use touches::{Touch, Why, touches};
