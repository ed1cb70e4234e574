//! A little build on little trees, to hold the rule against: whenever the rule says that a change
//! can't matter, the build of the changed tree must give what the other one gave.
//!
//! The build knows nothing of closures. It interprets a file, which tells it to include others
//! (looked for in several folders), to list folders, to look at files and to follow links, and it
//! writes down everything it sees. Between it and the tree stands what a kernel does with paths,
//! which notes each question the way the traced view does.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use git2::FileMode;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Closure, Paths, touches};
use crate::tree::Repository;

/// Files and links of a tree, by path. Folders are what paths go through.
pub(crate) type Files = BTreeMap<String, Node>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    File { text: String, executable: bool },
    Link(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Folder,
    Node(Node),
}

/// Puts a node at a path, over whatever is in the way.
pub(crate) fn put(files: &mut Files, path: &str, node: Node) {
    files.retain(|other, _| {
        !other.starts_with(&format!("{path}/")) && !path.starts_with(&format!("{other}/"))
    });
    files.insert(path.to_owned(), node);
}

/// What is at a path, whose folder is there.
fn at(files: &Files, path: &str) -> Option<Seen> {
    let below = format!("{path}/");
    match files.get(path) {
        Some(node) => Some(Seen::Node(node.clone())),
        None => files.keys().any(|other| other.starts_with(&below)).then_some(Seen::Folder),
    }
}

/// What a process sees of a tree, and what is noted of that.
struct View<'a> {
    files: &'a Files,
    read: RefCell<BTreeSet<String>>,
    found: RefCell<BTreeSet<String>>,
    missing: RefCell<BTreeSet<String>>,
    listed: RefCell<BTreeSet<String>>,
}

impl<'a> View<'a> {
    fn new(files: &'a Files) -> Self {
        let set = RefCell::default;
        Self { files, read: set(), found: set(), missing: set(), listed: set() }
    }

    fn look_up(&self, path: &str) -> Option<Seen> {
        let seen = at(self.files, path);
        let set = if seen.is_some() { &self.found } else { &self.missing };
        set.borrow_mut().insert(path.to_owned());
        if let Some(Seen::Node(Node::File { text, .. })) = &seen
            && text.is_empty()
        {
            self.read.borrow_mut().insert(path.to_owned());
        }
        seen
    }

    /// Goes along a path as the kernel does, name by name, through links.
    fn walk(&self, path: &str, fuel: u32) -> Option<(String, Seen)> {
        let mut at = (String::new(), Seen::Folder);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let Seen::Folder = at.1 else { return None };
            let next = if at.0.is_empty() { name.to_owned() } else { format!("{}/{name}", at.0) };
            let seen = self.look_up(&next)?;
            if let Seen::Node(Node::Link(target)) = &seen {
                self.read.borrow_mut().insert(next.clone());
                let target = format!("{}/{target}", at.0);
                at = self.walk(&target, fuel.checked_sub(1)?)?;
            } else {
                at = (next, seen);
            }
        }
        Some(at)
    }

    fn content(&self, path: &str) -> Option<String> {
        match self.walk(path, 3)? {
            (real, Seen::Node(Node::File { text, .. })) => {
                self.read.borrow_mut().insert(real);
                Some(text)
            }
            _ => None,
        }
    }

    fn attributes(&self, path: &str) -> String {
        match self.walk(path, 3) {
            None => "nothing".into(),
            Some((_, Seen::Node(Node::File { text, executable }))) => {
                format!("file of {} bytes, executable: {executable}", text.len())
            }
            Some((_, seen)) => format!("{seen:?}"),
        }
    }

    fn list(&self, path: &str) -> Option<Vec<String>> {
        let (real, Seen::Folder) = self.walk(path, 3)? else { return None };
        let prefix = if real.is_empty() { String::new() } else { format!("{real}/") };
        self.listed.borrow_mut().insert(real);
        let names: BTreeSet<&str> = self
            .files
            .keys()
            .filter_map(|path| path.strip_prefix(&prefix)?.split('/').next())
            .collect();
        let line = |name: &&str| match at(self.files, &format!("{prefix}{name}")) {
            Some(Seen::Folder) => format!("{name}/"),
            Some(Seen::Node(Node::Link(_))) => format!("{name}@"),
            _ => (*name).to_owned(),
        };
        Some(names.iter().map(line).collect())
    }

    fn closure(self) -> Closure {
        let read = Paths::new(self.read.into_inner());
        Closure {
            found: Paths::new(self.found.into_inner()).without(&read),
            read,
            missing: Paths::new(self.missing.into_inner()),
            listed: Paths::new(self.listed.into_inner()),
        }
    }
}

/// Runs the build: everything it saw.
fn build(view: &View<'_>) -> Vec<String> {
    let mut seen = Vec::new();
    let fuel = Cell::new(60);
    include(view, "a", &mut seen, &fuel);
    seen
}

fn include(view: &View<'_>, name: &str, seen: &mut Vec<String>, fuel: &Cell<u32>) {
    let found = ["", "b/", "c/", "b/c/", "c/a/"]
        .iter()
        .find_map(|folder| view.content(&format!("{folder}{name}")));
    let Some(text) = found else {
        seen.push(format!("no {name}"));
        return;
    };
    for line in text.lines() {
        let Some(left) = fuel.get().checked_sub(1) else { return };
        fuel.set(left);
        seen.push(line.to_owned());
        match line.split_once(' ') {
            Some(("include", name)) => include(view, name, seen, fuel),
            Some(("list", path)) => seen.push(format!("{:?}", view.list(path))),
            Some(("look", path)) => seen.push(view.attributes(path)),
            Some(("all", path)) => {
                for name in view.list(path).unwrap_or_default() {
                    include(view, &format!("{path}/{name}"), seen, fuel);
                }
            }
            _ => {}
        }
    }
}

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec("[abc]", 1..4).prop_map(|parts| parts.join("/"))
}

fn node() -> impl Strategy<Value = Node> {
    let verb = prop_oneof![
        4 => Just("include"), 2 => Just("list"), 2 => Just("look"), 1 => Just("all"),
        1 => Just("note"),
    ];
    let line = (verb, path()).prop_map(|(verb, path)| format!("{verb} {path}\n"));
    let text = proptest::collection::vec(line, 0..4).prop_map(|lines| lines.concat());
    prop_oneof![
        5 => (text, any::<bool>()).prop_map(|(text, executable)| Node::File { text, executable }),
        1 => prop_oneof![path(), Just("..".to_owned())].prop_map(Node::Link),
    ]
}

#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Put(String, Node),
    Remove(String),
    Rename(String, String),
    Mode(String),
}

pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (path(), node()).prop_map(|(path, node)| Edit::Put(path, node)),
        path().prop_map(Edit::Remove),
        (path(), path()).prop_map(|(from, to)| Edit::Rename(from, to)),
        path().prop_map(Edit::Mode),
    ]
}

pub(crate) fn carry_out(files: &mut Files, edit: &Edit) {
    match edit {
        Edit::Put(path, node) => put(files, path, node.clone()),
        Edit::Remove(path) => {
            let below = format!("{path}/");
            files.retain(|other, _| other != path && !other.starts_with(&below));
        }
        Edit::Rename(from, to) => {
            if let Some(node) = files.remove(from) {
                put(files, to, node);
            }
        }
        Edit::Mode(path) => {
            if let Some(Node::File { executable, .. }) = files.get_mut(path) {
                *executable = !*executable;
            }
        }
    }
}

pub(crate) fn tree() -> impl Strategy<Value = Files> {
    let main = node().prop_filter("a program", |node| matches!(node, Node::File { .. }));
    (proptest::collection::vec((path(), node()), 0..12), main).prop_map(|(nodes, main)| {
        let mut files = Files::new();
        for (path, node) in nodes {
            put(&mut files, &path, node);
        }
        put(&mut files, "a", main);
        files
    })
}

/// Writes a tree into a repository; returns its id.
pub(crate) fn write(git: &git2::Repository, files: &Files) -> String {
    let mut index = git2::Index::new().unwrap();
    for (path, node) in files {
        let (bytes, mode) = match node {
            Node::File { text, executable: true } => (text.as_bytes(), FileMode::BlobExecutable),
            Node::File { text, .. } => (text.as_bytes(), FileMode::Blob),
            Node::Link(target) => (target.as_bytes(), FileMode::Link),
        };
        let time = git2::IndexTime::new(0, 0);
        let entry = git2::IndexEntry {
            ctime: time,
            mtime: time,
            dev: 0,
            ino: 0,
            uid: 0,
            gid: 0,
            file_size: 0,
            mode: i32::from(mode) as u32,
            id: git.blob(bytes).unwrap(),
            flags: 0,
            flags_extended: 0,
            path: path.clone().into_bytes(),
        };
        index.add(&entry).unwrap();
    }
    index.write_tree_to(git).unwrap().to_string()
}

#[test]
fn what_touches_nothing_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let git = git2::Repository::init_bare(folder.path()).unwrap();
    let repository = Repository::open(folder.path()).unwrap();
    let (untouched, touched, changed) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config { cases: 3_000, ..Config::default() });
    let before = proptest::collection::vec(edit(), 0..3);
    let after = proptest::collection::vec(edit(), 1..5);
    runner
        .run(&(tree(), before, after), |(first, before, after)| {
            // A pair is warm: what was asked of an earlier tree is in the closure too.
            let earlier = View::new(&first);
            build(&earlier);
            let mut a = first.clone();
            before.iter().for_each(|edit| carry_out(&mut a, edit));
            let mut b = a.clone();
            after.iter().for_each(|edit| carry_out(&mut b, edit));

            let view = View::new(&a);
            let (seen_a, seen_b) = (build(&view), build(&View::new(&b)));
            let closure = view.closure();
            let changes = repository.visible_changes(&write(&git, &a), &write(&git, &b)).unwrap();
            prop_assert_eq!(changes.is_empty(), a == b);
            let touch = touches(&closure, &changes);
            if touch.is_none() {
                prop_assert_eq!(&seen_a, &seen_b);
                untouched.set(untouched.get() + u32::from(a != b));
            } else {
                touched.set(touched.get() + 1);
                changed.set(changed.get() + u32::from(seen_a != seen_b));
                let union = closure.union(&earlier.closure());
                prop_assert!(touches(&union, &changes).is_some(), "a union forgets nothing");
            }
            Ok(())
        })
        .unwrap();
    // The cases must be of both kinds, and the rule must not be all caution.
    assert!(untouched.get() > 300, "{untouched:?}");
    assert!(changed.get() > 300 && changed.get() * 4 > touched.get(), "{changed:?} of {touched:?}");
}

/// Changes of a kind, each with whether the build of `a` (which includes `b/x` after looking for
/// `x`, lists `c` and looks at `b/y`) may notice.
#[test]
fn named_changes() {
    let folder = tempfile::tempdir().unwrap();
    let git = git2::Repository::init_bare(folder.path()).unwrap();
    let repository = Repository::open(folder.path()).unwrap();
    let file = |text: &str| Node::File { text: text.into(), executable: false };
    let mut a = Files::new();
    let program = "include x\nlist c\nlook b/y\nlook b/l\nlook d/e/f\n";
    for (path, node) in [
        ("a", file(program)),
        ("b/x", file("note 1\n")),
        ("b/y", file("text\n")),
        ("b/l", Node::Link("y".into())),
        ("b/z", file("nobody looks\n")),
        ("c/1", file("")),
        ("c/sub/2", file("")),
    ] {
        put(&mut a, path, node);
    }
    let view = View::new(&a);
    build(&view);
    let closure = view.closure();
    let put_at = |path: &str, text: &str| Edit::Put(path.into(), file(text));
    let remove = |path: &str| Edit::Remove(path.into());
    let cases: &[(&str, &[Edit], bool)] = &[
        ("a file that hides an included one", &[put_at("x", "")], true),
        ("a file that a later folder of the search has", &[put_at("b/c/x", "")], false),
        ("a file in a listed folder", &[put_at("c/3", "")], true),
        ("a file below a listed folder's subfolder", &[put_at("c/sub/3", "")], false),
        ("the last file of a listed subfolder goes", &[remove("c/sub/2")], true),
        ("a listed file is renamed", &[Edit::Rename("c/1".into(), "c/4".into())], true),
        ("content that was read", &[put_at("b/x", "note 2\n")], true),
        ("content that was not, of one length", &[put_at("b/y", "TEXT\n")], false),
        ("content that was not, of another length", &[put_at("b/y", "longer\n")], true),
        ("a mode that could be seen", &[Edit::Mode("b/y".into())], true),
        ("a mode that could not", &[Edit::Mode("b/z".into())], false),
        ("a link that was followed", &[Edit::Put("b/l".into(), Node::Link("z".into()))], true),
        ("a folder that was missed", &[put_at("d/other", "")], true),
        ("a file where a folder was missed", &[put_at("d", "")], true),
        ("a folder replaced by a file", &[put_at("c/sub", "")], true),
        ("a file replaced by a folder", &[put_at("b/y/in", "")], true),
        ("replaced and back", &[put_at("c/sub", ""), put_at("c/sub/2", "")], false),
        ("what nobody looked at", &[put_at("b/z", "2\n"), put_at("e/f", "")], false),
        ("what nobody looked at goes", &[remove("b/z")], false),
    ];
    for (name, edits, expected) in cases {
        let mut b = a.clone();
        edits.iter().for_each(|edit| carry_out(&mut b, edit));
        let changes = repository.visible_changes(&write(&git, &a), &write(&git, &b)).unwrap();
        let touch = touches(&closure, &changes);
        assert_eq!(touch.is_some(), *expected, "{name}: {touch:?} of {changes:?}");
    }
}
