//! The web pages: what the store holds, and what each bisection saw. No script, one style sheet.

mod bisection;
mod frame;
mod home;
mod picture;

pub(crate) use bisection::{alone, bisection};
pub(crate) use home::home;
