//! Servers that Kiln is tested against, each private to the test that starts it: reached over a
//! Unix socket or the loopback interface, kept in a temporary folder, gone with its process.

mod azurite;
mod child;
mod faulty;
pub mod postgres;
pub mod s3;

pub use azurite::Azurite;
pub use faulty::Faulty;
pub use postgres::Postgres;
pub use s3::S3;
