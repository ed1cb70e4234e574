//! The rule, the view and a real build together: random trees are built by make, the shell and the
//! preprocessor through a view; whenever the rule says that a change can't matter, the changed tree
//! has to give the same.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::scene::{Scene, is_there};
use crate::closure::model::{Edit, Files, Node, carry_out, edit, put, tree, write};
use crate::closure::{Closure, touches};
use crate::tree::Repository;

/// What a kernel's makefiles do, in small: wildcards, files that are there or not, a search along a
/// path, modes, links, lists, and the preprocessor's own search for what is included.
const MAKEFILE: &str = r#"
parts := $(sort $(wildcard b/* c/*a a/b/*))
all:
	@for f in $(parts) $(wildcard a/c); do if [ -f $$f ]; then cat $$f; else echo $$f; fi; done
	@for n in a b c; do for d in c b/c b a; do \
		if [ -f $$d/$$n ]; then cat $$d/$$n; break; fi; done; done
	@for f in a/a b/b c; do if [ -x $$f ] && [ ! -d $$f ]; then echo x $$f; fi; done
	@if [ -L a/b ]; then readlink a/b; fi
	@if [ -d b/a ]; then ls b/a; fi
	@cpp -P -nostdinc -Ic -Ib/a -Ib -I. main.c 2>&1 || echo cpp failed
"#;

const MAIN: &str = "#include <a>\n#include <b>\n#include \"a/c\"\n";

fn scene(files: &Files) -> Option<Scene> {
    let mut list: Vec<(String, String)> = Vec::new();
    for (path, node) in files {
        list.push(match node {
            Node::File { text, executable: true } => (format!("{path}!"), text.clone()),
            Node::File { text, .. } => (path.clone(), text.clone()),
            Node::Link(target) => (path.clone(), format!("->{target}")),
        });
    }
    let list: Vec<(&str, &str)> = list.iter().map(|(path, text)| (&**path, &**text)).collect();
    Scene::new(&list)
}

/// The same in a folder that the build lists at most the name of.
fn elsewhere(edit: &Edit) -> Edit {
    let below = |path: &str| format!("b/q/{path}");
    match edit {
        Edit::Put(path, node) => Edit::Put(below(path), node.clone()),
        Edit::Remove(path) => Edit::Remove(below(path)),
        Edit::Rename(from, to) => Edit::Rename(below(from), below(to)),
        Edit::Mode(path) => Edit::Mode(below(path)),
    }
}

fn build(scene: &Scene) -> (String, Closure) {
    let traced = scene.mount();
    let said =
        scene.run("make -s -C \"$V\" 2>&1 || true").replace(scene.view().to_str().unwrap(), "V");
    (said, traced.finish().unwrap())
}

#[test]
fn make_gives_the_same_where_nothing_is_touched() {
    if !["make", "cpp"].into_iter().all(is_there) || scene(&Files::new()).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let git = git2::Repository::init_bare(folder.path()).unwrap();
    let repository = Repository::open(folder.path()).unwrap();
    let (untouched, changed) = (Cell::new(0), Cell::new(0));
    let mut runner =
        TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    // Again until it has seen both, which a turn of few cases sometimes does not.
    for _ in 0..5 {
        let after = proptest::collection::vec((edit(), any::<bool>()), 1..3);
        let check = |(mut a, edits): (Files, Vec<(Edit, bool)>)| {
            for (path, text) in [("Makefile", MAKEFILE), ("main.c", MAIN), ("b/q/r", "")] {
                put(&mut a, path, Node::File { text: text.into(), executable: false });
            }
            let mut b = a.clone();
            for (edit, aside) in &edits {
                carry_out(&mut b, &if *aside { elsewhere(edit) } else { edit.clone() });
            }
            let (Some(one), Some(other)) = (scene(&a), scene(&b)) else { return Ok(()) };
            let ((said_a, closure), (said_b, _)) = (build(&one), build(&other));
            let changes = repository.visible_changes(&write(&git, &a), &write(&git, &b)).unwrap();
            if touches(&closure, &changes).is_none() {
                prop_assert_eq!(said_a, said_b, "{:?} of {:?}", changes, closure);
                untouched.set(untouched.get() + u32::from(a != b));
            } else {
                changed.set(changed.get() + u32::from(said_a != said_b));
            }
            Ok(())
        };
        runner.run(&(tree(), after), check).unwrap();
        if untouched.get() >= 3 && changed.get() >= 3 {
            return;
        }
    }
    panic!("the cases show too little: {untouched:?} {changed:?}");
}
