//! Changes of the sources that make does not see.

use git2::FileMode;

use super::changes::What;
use super::reads::Closure;
use crate::tree::{Repository, TreeError};

impl Repository {
    /// The first change from tree `built` to tree `wanted` (ids in hexadecimal) that no rule of make
    /// could notice when it goes on from objects whose builds had this closure (`None`: nobody knows).
    ///
    /// Make compares times of files that it knows. It does not notice
    ///
    /// - what appears where a build looked in vain: a header in front of the one that was found, or
    ///   a script or folder that a command would have used;
    /// - a link that leads elsewhere, or a file that becomes one: the file behind it has a time of
    ///   its own, which may be older than any object.
    ///
    /// Without a closure only links can be told from here.
    pub(crate) fn unnoticed(
        &self,
        built: &str,
        wanted: &str,
        closure: Option<&Closure>,
    ) -> Result<Option<Box<[u8]>>, TreeError> {
        for entry in self.difference(Some(built), wanted)?.written {
            let path = entry.path.as_os_str().as_encoded_bytes();
            let used = closure.is_none_or(|closure| closure.saw_attributes(path));
            if entry.mode == FileMode::Link && used {
                return Ok(Some(path.into()));
            }
        }
        let Some(closure) = closure else { return Ok(None) };
        self.each_visible_change_in(&self.git()?, built, wanted, |change| {
            let overlooked = match change.what {
                What::Presence => closure.missing.contains(&change.path),
                What::Kind => closure.saw_presence(&change.path),
                What::Mode | What::Size | What::Content => false,
            };
            overlooked.then_some(change.path)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closure::Paths;
    use crate::testing::{Edit, Fixture};

    #[test]
    fn what_make_does_not_see() {
        let fixture = Fixture::new();
        let closure = Closure {
            read: Paths::new(["a.c", "link", "include/limits.h"]),
            missing: Paths::new(["mm/limits.h", "extra"]),
            ..Closure::default()
        };
        let base = [
            Edit::File("a.c", "1"),
            Edit::File("b.c", "1"),
            Edit::File("mm/x.c", "1"),
            Edit::Link("link", "a.c"),
            Edit::Link("unused", "a.c"),
        ];
        let base = fixture.edit("base", &base);
        let repository = fixture.repository();
        let after = |edit: Edit<'_>, closure: Option<&Closure>| {
            let head = git2::Oid::from_str(&base.commit).unwrap();
            let next = fixture.commit_on("next", &[head], &[edit]);
            let found = repository.unnoticed(&base.tree, &next.tree, closure).unwrap();
            found.map(|path| String::from_utf8_lossy(&path).into_owned())
        };
        let known = Some(&closure);
        assert_eq!(after(Edit::File("mm/limits.h", ""), known).as_deref(), Some("mm/limits.h"));
        assert_eq!(after(Edit::File("extra/x", ""), known).as_deref(), Some("extra"));
        assert_eq!(after(Edit::Link("link", "b.c"), known).as_deref(), Some("link"));
        assert_eq!(after(Edit::Link("a.c", "b.c"), known).as_deref(), Some("a.c"));
        for seen_by_make in [Edit::File("a.c", "2"), Edit::File("mm/y.c", ""), Edit::Remove("a.c")]
        {
            assert_eq!(after(seen_by_make, known), None);
        }
        assert_eq!(after(Edit::Link("unused", "b.c"), known), None);
        assert_eq!(after(Edit::Link("unused", "b.c"), None).as_deref(), Some("unused"));
    }
}
