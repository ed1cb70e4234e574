//! The user's file of crash titles and lines to ignore.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kiln_bisect::console::Patterns;
use serde::Deserialize;

use super::own_file;

/// Where the file is.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TitlePatterns {
    /// A TOML file of own crash titles and of lines to ignore; its format stands at the end of
    /// `kiln crash-title --help` [default: titles.toml in kiln's configuration directory, if it is there]
    #[arg(long, env = "KILN_TITLE_PATTERNS", value_name = "FILE")]
    title_patterns: Option<PathBuf>,
}

/// The file's content.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    ignore: Vec<String>,
    #[serde(default)]
    title: Vec<Title>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Title {
    line: String,
    title: String,
}

impl TitlePatterns {
    /// Reads the file; without one there are no patterns. A file that was named must be there.
    pub(crate) fn read(&self) -> anyhow::Result<Patterns> {
        match own_file::read(self.title_patterns.as_deref(), "titles.toml")? {
            Some((path, content)) => patterns(&path, &content),
            None => Ok(Patterns::default()),
        }
    }
}

fn patterns(path: &Path, content: &Content) -> anyhow::Result<Patterns> {
    let name = || format!("in '{}'", path.display());
    let mut patterns = Patterns::default();
    for title in &content.title {
        patterns.add_title(&title.line, &title.title).with_context(name)?;
    }
    for line in &content.ignore {
        patterns.ignore(line).with_context(name)?;
    }
    Ok(patterns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, text: &str) -> anyhow::Result<Patterns> {
        let path = Path::new(path);
        patterns(path, &own_file::parse(path, text)?)
    }

    #[test]
    fn the_example_of_the_help_is_read() {
        let text = "ignore = ['WARNING: .* harmless']\n[[title]]\nline = 'widget: (\\w+)'\n\
                    title = 'widget {1}'\n";
        let found = read("x", text).unwrap();
        let console = b"WARNING: quite harmless\nwidget: broken\n";
        let crash = kiln_bisect::console::crash_title_with(console, &found).unwrap();
        assert_eq!(crash.title, "widget broken");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, said) in [
            ("ignore = ['(']", "'(' is not a regular expression"),
            ("ignored = []", "ignored"),
            ("[[title]]\nline = 'x'", "title"),
        ] {
            let error = format!("{:#}", read("my.toml", text).unwrap_err());
            assert!(error.contains("my.toml") && error.contains(said), "{error}");
        }
    }
}
