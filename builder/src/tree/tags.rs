//! Releases: commits that have tags.

use super::error::TreeError;
use super::repository::Repository;

impl Repository {
    /// The commits of the tags whose names fit a pattern such as `v6.*` (`*`, `?` and `[…]`, as
    /// `git tag --list` takes it), hexadecimal. Tags of other things than commits are left out.
    pub fn tagged(&self, pattern: &str) -> Result<Vec<String>, TreeError> {
        let git = self.git()?;
        let names = git.tag_names(Some(pattern)).map_err(|source| self.error(source))?;
        let commit = |name: &str| {
            let tag = git.find_reference(&format!("refs/tags/{name}")).ok()?;
            Some(tag.peel_to_commit().ok()?.id().to_string())
        };
        Ok(names.iter().flatten().flatten().filter_map(commit).collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn only_tags_that_fit_and_only_commits() {
        let fixture = Fixture::new();
        let first = fixture.commit("first", &[("a", "1")]);
        let second = fixture.commit("second", &[("a", "2")]);
        let git = fixture.git();
        let object = |name: &str| git.revparse_single(name).unwrap();
        let who = git2::Signature::now("a", "b").unwrap();
        git.tag_lightweight("v1.0", &object(&first.commit), false).unwrap();
        git.tag("v1.1", &object(&second.commit), &who, "with a message", false).unwrap();
        git.tag_lightweight("v1-tree", &object(&first.tree), false).unwrap();
        git.tag_lightweight("test", &object(&first.commit), false).unwrap();
        let repository = fixture.repository();
        let mut found = repository.tagged("v*").unwrap();
        found.sort();
        let mut both = [first.commit, second.commit];
        both.sort();
        assert_eq!(found, both);
        assert!(repository.tagged("w*").unwrap().is_empty());
    }
}
