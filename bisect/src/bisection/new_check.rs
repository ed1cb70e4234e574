//! Whether the check that fires is one that the commit itself brings: then the bug may well be older, and
//! only nobody looked for it.

use std::sync::LazyLock;

use kiln_builder::Repository;
use kiln_cache::signature::ImageId;
use regex::bytes::Regex;

use super::error::BisectError;
use super::knowledge::Known;
use super::setup::{Bisection, blocking};
use crate::console::compile;
use crate::plan::Place;
use crate::tester::Tester;

/// How the kernel says where a check stands: `__warn` and `show_bug` of lib/bug.c and kernel/panic.c.
static CHECK: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r"(?:WARNING: (?:CPU: \d+ PID: \d+ )?at|kernel BUG at) (?:\./)?([\w./+-]+\.[chSs]):(\d+)",
    )
});

impl Bisection {
    /// A sentence for people when the check that a revision's crash tells of is in none of its first
    /// parent's lines.
    pub(super) async fn new_check(
        &self,
        tester: &Tester,
        commit: Place,
        parent: Place,
    ) -> Result<Option<String>, BisectError> {
        let Some(Known::Built { image, .. }) = self.knowledge.build(commit) else {
            return Ok(None);
        };
        let Some((path, line)) = self.check_that_fired(tester, image).await? else {
            return Ok(None);
        };
        let (before, after) = (self.revision(parent).tree, self.revision(commit).tree);
        let (from, file) = (self.header.repository.clone(), path.clone());
        let is_new =
            blocking(move || Ok(Repository::open(&from)?.adds_line(&before, &after, &file, line)?))
                .await?;
        Ok(is_new.then(|| format!("the check that fires, {path}:{line}, is a line of this commit")))
    }

    /// File and line of the check that an image's crash tells of, if it is a check.
    async fn check_that_fired(
        &self,
        tester: &Tester,
        image: ImageId,
    ) -> Result<Option<(String, u32)>, BisectError> {
        let console = self.target_console(tester, image).await?;
        Ok(console.and_then(|console| check(&console)))
    }
}

/// The first check that a console says has failed.
fn check(console: &[u8]) -> Option<(String, u32)> {
    let found = CHECK.captures(console)?;
    let text = |group: usize| std::str::from_utf8(found.get(group)?.as_bytes()).ok();
    Some((text(1)?.to_owned(), text(2)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn the_kernel_says_where_its_checks_stand() {
        let at = |path: &str, line| Some((path.to_owned(), line));
        let warning = b"[    1.2] WARNING: CPU: 0 PID: 77 at fs/open.c:331 vfs_fallocate+0x1/0x2\n";
        assert_eq!(check(warning), at("fs/open.c", 331));
        assert_eq!(
            check(b"WARNING: at ./include/linux/mm.h:12 f+0x1"),
            at("include/linux/mm.h", 12)
        );
        assert_eq!(check(b"\nkernel BUG at mm/slub.c:4023!\n"), at("mm/slub.c", 4023));
        for other in [
            &b"BUG: unable to handle kernel NULL pointer dereference at 0000000000000008"[..],
            b"WARNING: possible circular locking dependency detected",
            b"kernel BUG at mm/slub.c",
        ] {
            assert_eq!(check(other), None);
        }
    }
}
