//! Which lines of a file a commit added.

use git2::{DiffOptions, Patch};

use super::error::TreeError;
use super::repository::Repository;

impl Repository {
    /// Whether the `line`-th line (counted from one) of the file at `path`, as it is in the tree `after`
    /// (ids in hexadecimal), is none of the file in the tree `before`: added, or written anew. Not where
    /// neither differs there, or `after` has no such line.
    pub fn adds_line(
        &self,
        before: &str,
        after: &str,
        path: &str,
        line: u32,
    ) -> Result<bool, TreeError> {
        let git = self.git()?;
        let fail = |error| self.error(error);
        let (before, after) = (self.tree(&git, before)?, self.tree(&git, after)?);
        let mut options = DiffOptions::new();
        options.pathspec(path).disable_pathspec_match(true).context_lines(0);
        let diff =
            git.diff_tree_to_tree(Some(&before), Some(&after), Some(&mut options)).map_err(fail)?;
        for (at, delta) in diff.deltas().enumerate() {
            // A folder's name would stand for all that is in it.
            if delta.new_file().path_bytes() != Some(path.as_bytes()) {
                continue;
            }
            let Some(patch) = Patch::from_diff(&diff, at).map_err(fail)? else { continue };
            for hunk in 0..patch.num_hunks() {
                for each in 0..patch.num_lines_in_hunk(hunk).map_err(fail)? {
                    let found = patch.line_in_hunk(hunk, each).map_err(fail)?;
                    if found.origin() == '+' && found.new_lineno() == Some(line) {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn a_line_is_new_or_was_there() {
        let fixture = Fixture::new();
        let one = fixture.commit("one", &[("net/a.c", "1\n2\n3\n4\n"), ("net/a.c.orig", "x\n")]);
        let two = fixture.commit("two", &[("net/a.c", "1\nnew\n2\n3\nother\n")]);
        let repository = fixture.repository();
        let new: Vec<u32> = (0..8)
            .filter(|line| repository.adds_line(&one.tree, &two.tree, "net/a.c", *line).unwrap())
            .collect();
        assert_eq!(new, [2, 5]);
        for path in ["net/b.c", "net/*.c", "net"] {
            assert!(!repository.adds_line(&one.tree, &two.tree, path, 2).unwrap(), "{path}");
        }
    }
}
