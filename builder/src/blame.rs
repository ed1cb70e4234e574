//! Which commits of a history change files that define given functions: the first suspects when
//! these functions crash.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use regex::bytes::Regex;

use crate::closure::{Edges, What};
use crate::tree::{TreeError, is_c};

/// Longest file that is looked into, in bytes: generated tables are longer, and define nothing.
const LONGEST: usize = 4 << 20;

/// The commits, rising, that change a file with a definition of one of these functions, from each of
/// their parents: a merge that only brings such a change is none of them. Commits without a parent
/// in the history are left out, and so are changes of thousands of files.
pub fn commits_changing(edges: &Edges, functions: &[String]) -> Result<Vec<u32>, TreeError> {
    let Some(definition) = definition_of(functions) else { return Ok(Vec::new()) };
    let seen: Mutex<HashMap<git2::Oid, bool>> = Mutex::default();
    let defines = |git: &git2::Repository, tree: &str, path: &Path| {
        let oid = git2::Oid::from_str(tree).and_then(|tree| git.find_tree(tree));
        let Ok(id) = oid.and_then(|tree| tree.get_path(path)).map(|entry| entry.id()) else {
            return false;
        };
        let known = || seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known().get(&id) {
            return *known;
        }
        let found = git
            .find_blob(id)
            .is_ok_and(|blob| blob.size() <= LONGEST && definition.is_match(blob.content()));
        known().insert(id, found);
        found
    };
    let changing = edges.keep(&edges.all(), |git, (parent, child)| {
        let Some(changes) = edges.few_changes(git, parent, child)? else { return Ok(false) };
        Ok(changes.iter().filter(|change| change.what != What::Mode).any(|change| {
            let path = std::str::from_utf8(&change.path).ok().filter(|_| is_c(&change.path));
            let Some(path) = path else { return false };
            [child, parent].iter().any(|at| defines(git, edges.tree(*at), Path::new(path)))
        }))
    })?;
    let changing: BTreeSet<(usize, usize)> = changing.into_iter().collect();
    let children: BTreeSet<usize> = changing.iter().map(|(_, child)| *child).collect();
    let each =
        |child: &usize| edges.parents(*child).all(|parent| changing.contains(&(parent, *child)));
    Ok(children.into_iter().filter(each).map(|child| child as u32).collect())
}

/// What the first line of a definition looks like: it begins at the margin, has the name before a
/// bracket, and does not end the statement, as a declaration and a call at the margin would.
fn definition_of(functions: &[String]) -> Option<Regex> {
    if functions.is_empty() {
        return None;
    }
    let names: Vec<String> = functions.iter().map(|name| regex::escape(name)).collect();
    let names = names.join("|");
    Regex::new(&format!(r"(?m)^(?:[A-Za-z_][^;\n]*[^A-Za-z0-9_;\n])?(?:{names})\([^;\n]*$")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Edit, Fixture};

    #[test]
    fn definitions_and_nothing_else() {
        let definition = definition_of(&["pipe_write".into(), "vfs_write".into()]).unwrap();
        let is = |text: &str| definition.is_match(text.as_bytes());
        assert!(is("static ssize_t\npipe_write(struct kiocb *iocb, struct iov_iter *from)\n{\n"));
        assert!(is("ssize_t vfs_write(struct file *file,\n\t\tsize_t count)\n{\n"));
        assert!(is("ssize_t *vfs_write(void) {"));
        for other in [
            "\treturn vfs_write(file);\n",
            "ssize_t vfs_write(struct file *);\n",
            "EXPORT_SYMBOL(vfs_write);\n",
            "ssize_t new_vfs_write(void)\n{\n",
            "\t.write = pipe_write,\n",
        ] {
            assert!(!is(other), "{other}");
        }
        assert!(definition_of(&[]).is_none());
    }

    #[test]
    fn commits_that_change_such_a_file() {
        let fixture = Fixture::new();
        let good = fixture.commit("good", &[("a.c", "int f(void)\n{ }\n"), ("b.c", "0")]).commit;
        fixture.edit("not in range", &[Edit::File("b.c", "1")]);
        fixture.edit("the file", &[Edit::File("a.c", "int f(void)\n{ /* */ }\n")]);
        fixture.edit("another", &[Edit::File("b.c", "2")]);
        fixture.edit("the file goes", &[Edit::Remove("a.c")]);
        fixture.edit("a new one", &[Edit::File("c.c", "int f(void)\n{ }\n")]);
        fixture.edit("text", &[Edit::File("d.rst", "int f(void)\n{ }\n")]);
        let repository = fixture.repository();
        let history = repository.history(&good, "HEAD").unwrap();
        let edges = Edges::new(&repository, &history);
        assert_eq!(commits_changing(&edges, &["f".into()]).unwrap(), [1, 3, 4]);
        assert_eq!(commits_changing(&edges, &["g".into()]).unwrap(), [0; 0]);
    }
}
