//! The people whom a commit itself names.

use git2::{Commit, DiffFormat, DiffOptions};

use super::RecipientsError;
use crate::tree::Repository;

/// Largest change that the script is given: what lies behind names no other files, most often.
const LARGEST: usize = 8 << 20;

/// Addresses in a commit, in its order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct People {
    /// The author and those who signed it off.
    pub(super) makers: Vec<String>,
    /// Named by the other lines of `Documentation/process/submitting-patches.rst`.
    pub(super) others: Vec<String>,
}

/// The people in a commit, and the commit as a patch.
pub(super) fn of_commit(
    repository: &Repository,
    name: &str,
) -> Result<(People, Vec<u8>), RecipientsError> {
    let revision = repository.resolve(name)?;
    let git = repository.git()?;
    let read = |error| RecipientsError::Tree(repository.error(error));
    let commit = git.find_commit(repository.oid(&revision.commit)?).map_err(read)?;
    let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
    let author = String::from_utf8_lossy(commit.author().email_bytes()).into_owned();
    let mut people = of_message(&message);
    people.makers.insert(0, author);
    let change = patch(&git, &commit, &message).map_err(read)?;
    Ok((people, change))
}

/// Reads the trailing lines of a message.
fn of_message(message: &str) -> People {
    let mut people = People::default();
    for line in message.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let list = match key.trim().to_ascii_lowercase().as_str() {
            "signed-off-by" | "co-developed-by" => &mut people.makers,
            "acked-by" | "reviewed-by" | "tested-by" | "reported-by" | "suggested-by" | "cc" => {
                &mut people.others
            }
            _ => continue,
        };
        list.extend(address(value));
    }
    people
}

/// The address in `Name <user@host> # note` or in `user@host`.
pub(super) fn address(text: &str) -> Option<String> {
    let bare = match text.split_once('<') {
        Some((_, rest)) => rest.split_once('>')?.0,
        None => text.split_whitespace().next()?,
    };
    let (user, host) = bare.split_once('@')?;
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b",;<>()\"".contains(&b))
    };
    (plain(user) && plain(host)).then(|| bare.to_owned())
}

/// The commit as a patch: message and differences.
fn patch(
    git: &git2::Repository,
    commit: &Commit<'_>,
    message: &str,
) -> Result<Vec<u8>, git2::Error> {
    let before = match commit.parent_count() {
        0 => None,
        _ => Some(commit.parent(0)?.tree()?),
    };
    let mut options = DiffOptions::new();
    let diff = git.diff_tree_to_tree(before.as_ref(), Some(&commit.tree()?), Some(&mut options))?;
    let mut out = message.as_bytes().to_vec();
    out.extend_from_slice(b"\n---\n");
    let printed = diff.print(DiffFormat::Patch, |_, _, line| {
        if matches!(line.origin(), '+' | '-' | ' ') {
            out.push(line.origin() as u8);
        }
        out.extend_from_slice(line.content());
        out.len() < LARGEST
    });
    match printed {
        // Stopped by ourselves.
        Err(error) if error.code() == git2::ErrorCode::User => Ok(out),
        Err(error) => Err(error),
        Ok(()) => Ok(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_people() {
        let people = of_message(
            "kvm: fix it\n\nNote: a line that is no trailer\nFixes: 1234 (\"x\")\n\
             Reported-by: syzbot+12@syzkaller.appspotmail.com\n\
             Signed-off-by: A B <a@b.org>\nCc: <stable@vger.kernel.org> # v5.10+\n\
             reviewed-by: broken\nAcked-by: \"C, D\" <c@d.org>\n",
        );
        assert_eq!(people.makers, ["a@b.org"]);
        let others = ["syzbot+12@syzkaller.appspotmail.com", "stable@vger.kernel.org", "c@d.org"];
        assert_eq!(people.others, others);
    }

    #[test]
    fn only_addresses_are_addresses() {
        assert_eq!(address("x@y.z (open list:FOO)").as_deref(), Some("x@y.z"));
        for text in ["", "Name", "<>", "Name <a@>", "<@b>", "a b@c,d@e <x", "<a@b;rm>"] {
            assert_eq!(address(text), None, "{text}");
        }
    }
}
