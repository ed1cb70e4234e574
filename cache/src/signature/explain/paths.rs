//! Folders of sources in texts: which prefix became which.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;

/// How names of source files end.
const ENDS: [&[u8]; 4] = [b".c\0", b".h\0", b".S\0", b".rs\0"];
/// The longest path that Linux opens.
const LONGEST: usize = 4096;
/// How many texts of each side are compared: enough to see a prefix, and bounded.
const MOST: usize = 4096;
/// How many texts of one file name are held against each other.
const MOST_OF_A_NAME: usize = 64;

/// A folder that is another one in the other build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) before: String,
    pub(super) after: String,
}

/// Folders of tools and headers that are not the kernel's.
const HOST: &[u8] = b"/usr/";

impl Moved {
    /// Whether the folder holds most of what is named: a tree that lies elsewhere, and not a file that
    /// is in another folder of one tree.
    pub(super) fn is_most_of(&self, before: &BTreeSet<&[u8]>, after: &BTreeSet<&[u8]>) -> bool {
        let folders = [self.before.as_bytes(), self.after.as_bytes()];
        let is_in = |text: &&&[u8]| {
            let rest = folders.iter().filter_map(|it| text.strip_prefix(*it));
            rest.into_iter().any(|it| it.is_empty() || it.starts_with(b"/"))
        };
        let is_other = |text: &&&[u8]| !is_in(text) && !text.starts_with(HOST);
        let inside = before.union(after).filter(is_in).count();
        inside > before.intersection(after).filter(is_other).count()
    }
}

/// Names of source files in bytes: texts between NULs that begin with a slash.
pub(super) fn source_names(bytes: &[u8]) -> BTreeSet<&[u8]> {
    let mut found = BTreeSet::new();
    for end in ENDS {
        for at in memmem::find_iter(bytes, end) {
            let stop = at + end.len() - 1;
            let before = &bytes[stop.saturating_sub(LONGEST)..stop];
            let start = before.iter().rposition(|byte| !matches!(byte, b' '..=b'~'));
            let text = start.map_or(before, |start| &before[start + 1..]);
            if text.starts_with(b"/") {
                found.insert(text);
            }
        }
    }
    found
}

/// All texts of a section of texts that begin with a slash.
pub(super) fn absolute_texts(bytes: &[u8]) -> BTreeSet<&[u8]> {
    bytes.split(|&byte| byte == 0).filter(|it| it.starts_with(b"/")).collect()
}

/// The prefix that most texts of one side have where those of the other side have another, given
/// that what follows is the same.
pub(super) fn moved(before: &BTreeSet<&[u8]>, after: &BTreeSet<&[u8]>) -> Option<Moved> {
    let lone = |mine: &BTreeSet<&[u8]>, other: &BTreeSet<&[u8]>| -> Vec<Vec<u8>> {
        mine.difference(other).take(MOST).map(|it| it.to_vec()).collect()
    };
    let (mut lone_before, mut lone_after) = (lone(before, after), lone(after, before));
    // Where only some units were made anew, the old folder is named in both.
    let all = |texts: &BTreeSet<&[u8]>| texts.iter().take(MOST).map(|it| it.to_vec()).collect();
    match (lone_before.is_empty(), lone_after.is_empty()) {
        (true, false) => lone_before = all(before),
        (false, true) => lone_after = all(after),
        _ => {}
    }
    let mut by_name: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
    for text in &lone_after {
        by_name.entry(file_name(text)).or_default().push(text);
    }
    let mut votes: BTreeMap<(&[u8], &[u8]), usize> = BTreeMap::new();
    for text in &lone_before {
        let same_name = by_name.get(file_name(text)).into_iter().flatten();
        for other in same_name.take(MOST_OF_A_NAME) {
            let (a, b) = prefixes(text, other);
            *votes.entry((a, b)).or_default() += 1;
        }
    }
    // A folder that has another name itself, if it is all that is named.
    if let (true, [one], [other]) = (votes.is_empty(), &lone_before[..], &lone_after[..]) {
        votes.insert(prefixes(one, other), 1);
    }
    let ((before, after), _) = votes.into_iter().max_by_key(|(_, count)| *count)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Moved { before: text(before), after: text(after) })
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

/// Two paths without the folders and the name that both end with.
fn prefixes<'a>(a: &'a [u8], b: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let same = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let tail = &a[a.len() - same..];
    // From a slash on, so that folders are not cut.
    let slash = tail.iter().position(|&byte| byte == b'/').map_or(0, |at| tail.len() - at);
    (&a[..a.len() - slash], &b[..b.len() - slash])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_folder_that_moved() {
        let one = b"\x01/home/a/linux/mm/mmap.c\0x/no.c\0/home/a/linux/fs/pipe.h\0/usr/same.c\0";
        let two = b"\0/srv/k/mm/mmap.c\0/srv/k/fs/pipe.h\0/usr/same.c\0";
        let (one, two) = (source_names(one), source_names(two));
        assert_eq!(one.len(), 3);
        let found = moved(&one, &two).unwrap();
        assert_eq!((&*found.before, &*found.after), ("/home/a/linux", "/srv/k"));
        assert_eq!(moved(&one, &one), None);
    }

    #[test]
    fn a_folder_that_half_of_the_units_name() {
        let one = absolute_texts(b"/a/linux/objects\0/usr/include\0");
        let both = absolute_texts(b"/a/linux/objects\0/usr/include\0/b/objects\0");
        let expected = Moved { before: "/a/linux".into(), after: "/b".into() };
        assert_eq!(moved(&one, &both), Some(expected));
        let expected = Moved { before: "/b".into(), after: "/a/linux".into() };
        assert_eq!(moved(&both, &one), Some(expected));
    }

    #[test]
    fn a_file_in_another_folder_is_no_moved_tree() {
        let texts = |folder: &str| {
            format!("/s/k\0/s/k/a.c\0/s/k/b.c\0/usr/lib/x.h\0/s/k/include/{folder}/c.h\0")
        };
        let (one, two) = (texts("old"), texts("new"));
        let (one, two) = (absolute_texts(one.as_bytes()), absolute_texts(two.as_bytes()));
        let found = moved(&one, &two).unwrap();
        assert!(!found.is_most_of(&one, &two), "{found:?}");
        let whole =
            absolute_texts(b"/t/k\0/t/k/a.c\0/t/k/b.c\0/usr/lib/x.h\0/t/k/include/old/c.h\0");
        let found = moved(&one, &whole).unwrap();
        assert!(found.is_most_of(&one, &whole), "{found:?}");
    }

    #[test]
    fn a_folder_itself_may_be_the_text() {
        let found = moved(
            &absolute_texts(b"/a/linux\0/a/linux/x.c\0"),
            &absolute_texts(b"/b/linux\0/b/linux/x.c\0"),
        );
        assert_eq!(found, Some(Moved { before: "/a".into(), after: "/b".into() }));
        let found = moved(&absolute_texts(b"/a/one\0/usr\0"), &absolute_texts(b"/a/two\0/usr\0"));
        assert_eq!(found, Some(Moved { before: "/a/one".into(), after: "/a/two".into() }));
    }
}
