//! Reads kernel consoles.

mod crash;

pub use crash::Crash;

/// The first crash of a console.
pub fn crash_title(console: &[u8]) -> Option<Crash> {
    let text = String::from_utf8_lossy(console);
    let line = text.lines().find(|l| l.contains("kernel BUG at "))?;
    Some(Crash { title: line[line.find("kernel BUG")?..].to_owned() })
}
