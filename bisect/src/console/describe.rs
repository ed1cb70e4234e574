//! Finds the title of a report by the table of formats.

use regex::bytes::Regex;

use super::skip::SYSCALL_PREFIXES;
use super::titles::Format;
use super::walk::{Guilty, Walker};

/// A [`Format`] with its patterns compiled.
#[derive(Debug)]
pub(crate) struct Reader {
    title: Regex,
    here: Option<Regex>,
    then: Vec<Regex>,
    walker: Option<Walker>,
    format: &'static Format,
}

/// What a report says.
#[derive(Debug)]
pub(crate) struct Description {
    /// The title, not yet cleaned.
    pub(crate) title: Vec<u8>,
    /// Other titles, likewise.
    pub(crate) alternatives: Vec<Vec<u8>>,
    /// The title cannot be trusted.
    pub(crate) damaged: bool,
    /// The report must have a stack trace.
    pub(crate) traced: bool,
}

impl Reader {
    pub(crate) fn new(format: &'static Format) -> Self {
        Self {
            title: super::pattern::compile(format.title),
            here: super::pattern::any_of(Some(format.here).filter(|p| !p.is_empty())),
            then: format.then.iter().map(|p| super::pattern::compile(p)).collect(),
            walker: format.walk.as_ref().map(Walker::new),
            format,
        }
    }

    /// Reads a report whose line 0 has this format's title; none when the rest that belongs to
    /// the format is missing.
    fn read(&self, lines: &[&[u8]]) -> Option<Description> {
        let mut words = Vec::new();
        let mut take = |captures: &regex::bytes::Captures<'_>| {
            let groups = captures.iter().skip(1);
            words.extend(groups.map(|m| m.map_or(Vec::new(), |m| m.as_bytes().to_vec())));
        };
        let first = lines.first()?;
        take(&self.title.captures(first)?);
        if let Some(here) = &self.here {
            take(&here.captures(first)?);
        }
        let mut rest = lines[1..].iter();
        for wanted in &self.then {
            take(&rest.find_map(|line| wanted.captures(line))?);
        }
        let found = self.walker.as_ref().map(|walker| walker.walk(lines));
        let (guilty, sound) = found.map_or((Vec::new(), true), |f| (f.guilty, f.sound));
        let shown: Vec<&str> = guilty.iter().map(|g| g.name.as_str()).collect();
        let title = fill(self.format.name, &words, &shown);
        let mut alternatives: Vec<Vec<u8>> =
            self.format.also.iter().map(|text| fill(text, &words, &shown)).collect();
        for names in other_names(&guilty) {
            for text in std::iter::once(&self.format.name).chain(self.format.also) {
                alternatives.push(fill(text, &words, &names));
            }
        }
        Some(Description {
            title,
            alternatives,
            damaged: self.format.damaged || !sound,
            traced: self.format.traced,
        })
    }
}

/// Describes a report: the format whose title stands first wins, and among several at one place
/// the first in the table. Without any, the line that told of the crash is the title.
pub(crate) fn describe(readers: &[Reader], marker: &[u8], lines: &[&[u8]]) -> Option<Description> {
    let first = lines.iter().enumerate().find_map(|(at, line)| {
        let starts: Vec<(usize, &Reader)> =
            readers.iter().filter_map(|r| Some((r.title.find(line)?.start(), r))).collect();
        let column = starts.iter().map(|(column, _)| *column).min()?;
        Some((at, starts.into_iter().filter(move |(c, _)| *c == column).map(|(_, r)| r)))
    });
    let mut incomplete = false;
    if let Some((at, mut candidates)) = first {
        if let Some(description) = candidates.find_map(|reader| reader.read(&lines[at..])) {
            return Some(description);
        }
        incomplete = true;
    }
    let (line, at) = lines.iter().find_map(|line| Some((line, super::find(line, marker)?)))?;
    Some(Description {
        title: line[at..].to_vec(),
        alternatives: Vec::new(),
        damaged: incomplete,
        traced: false,
    })
}

/// The functions' names as other releases and architectures would show them.
fn other_names(guilty: &[Guilty]) -> Vec<Vec<&str>> {
    SYSCALL_PREFIXES
        .iter()
        .filter(|prefix| prefix.is_empty() || guilty.iter().any(|g| g.full.starts_with(**prefix)))
        .map(|prefix| {
            guilty.iter().map(|g| g.full.strip_prefix(prefix).unwrap_or(&g.full)).collect()
        })
        .collect()
}

/// Fills `{1}`, `{2}`.. with words of the report, and `{f}`, `{g}` with guilty functions.
fn fill(template: &str, words: &[Vec<u8>], functions: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.extend_from_slice(before.as_bytes());
        let Some((name, after)) = after.split_once('}') else { break };
        match name {
            "f" | "g" => {
                let function = functions.get(usize::from(name == "g"));
                out.extend_from_slice(function.copied().unwrap_or("corrupted").as_bytes());
            }
            number => {
                let number: Option<usize> = number.parse().ok();
                if let Some(word) = number.and_then(|n| words.get(n.checked_sub(1)?)) {
                    out.extend_from_slice(word);
                }
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled() {
        let words = [b"one".to_vec(), b"two".to_vec()];
        assert_eq!(fill("A: {2} {1} in {f}/{g}", &words, &["x", "y"]), b"A: two one in x/y");
        assert_eq!(fill("{9}{f}", &words, &[]), b"corrupted");
        assert_eq!(fill("plain", &words, &[]), b"plain");
    }

    #[test]
    fn other_names_keep_the_syscall() {
        let guilty = [Guilty { name: "mremap".into(), full: "__se_sys_mremap".into() }];
        let names: Vec<&str> = other_names(&guilty).into_iter().flatten().collect();
        assert_eq!(names, ["sys_mremap", "mremap", "__se_sys_mremap"]);
    }
}
