//! Runs a commit's own `scripts/get_maintainer.pl`.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::RecipientsError;
use super::people::address;
use crate::tree::Repository;

const SCRIPT: &str = "scripts/get_maintainer.pl";
const LIST: &str = "MAINTAINERS";

/// What the script reads where it is there.
const READ: [&str; 3] = [".mailmap", ".get_maintainer.ignore", ".get_maintainer.conf"];

/// What the script wants to see before it believes that it stands in a kernel's sources
/// (`top_of_kernel_tree` in it).
const FILES: [&str; 5] = ["COPYING", "CREDITS", "Kbuild", "Makefile", "README"];
const FOLDERS: [&str; 9] =
    ["Documentation", "arch", "include", "drivers", "fs", "init", "ipc", "kernel", "lib"];

/// The script searches a few megabytes of text; longer means that something is wrong.
const LONGEST: Duration = Duration::from_secs(60);
/// How often its end is looked for.
const PAUSE: Duration = Duration::from_millis(20);

/// Addresses that the script names for a patch.
pub(super) fn maintainers(
    repository: &Repository,
    commit: &str,
    patch: &[u8],
) -> Result<Vec<String>, RecipientsError> {
    let folder = |source| RecipientsError::Folder { commit: commit.to_owned(), source };
    let root = tempfile::tempdir().map_err(folder)?;
    lay_out(repository, commit, root.path())?;
    let change = root.path().join("change.patch");
    std::fs::write(&change, patch).map_err(folder)?;
    let failed = |reason: String| RecipientsError::Script { commit: commit.to_owned(), reason };
    let output = tempfile::tempfile_in(root.path()).map_err(folder)?;
    let words = tempfile::tempfile_in(root.path()).map_err(folder)?;
    let child = Command::new("perl")
        .arg(SCRIPT)
        .args(["--nogit", "--nogit-fallback", "--norolestats", "--multiline"])
        .arg(&change)
        .current_dir(root.path())
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(folder)?)
        .stderr(words.try_clone().map_err(folder)?)
        .spawn();
    let child = child.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => RecipientsError::NoPerl,
        _ => failed(error.to_string()),
    })?;
    let ended = end_of(child).map_err(folder)?;
    match ended {
        Some(status) if status.success() => {}
        Some(status) => {
            let first = text_of(words).map_err(folder)?.lines().next().unwrap_or("").to_owned();
            return Err(failed(format!("{status}: {first}")));
        }
        None => return Err(failed(format!("no answer in {} s", LONGEST.as_secs()))),
    }
    Ok(text_of(output).map_err(folder)?.lines().filter_map(address).collect())
}

/// Waits for the end of a child; kills it when that takes too long.
fn end_of(mut child: Child) -> std::io::Result<Option<ExitStatus>> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begin.elapsed() > LONGEST {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
}

fn text_of(mut file: std::fs::File) -> std::io::Result<String> {
    use std::io::Seek as _;
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Makes a folder in which the script finds what it would find in a checkout.
fn lay_out(repository: &Repository, commit: &str, root: &Path) -> Result<(), RecipientsError> {
    let read = |error| RecipientsError::Tree(repository.error(error));
    let folder = |source| RecipientsError::Folder { commit: commit.to_owned(), source };
    let revision = repository.resolve(commit)?;
    let git = repository.git()?;
    let tree = git.find_tree(repository.oid(&revision.tree)?).map_err(read)?;
    let blob = |path: &str| {
        let entry = tree.get_path(Path::new(path)).ok()?;
        Some(git.find_blob(entry.id()).ok()?.content().to_vec())
    };
    let write = |path: &str, bytes: &[u8]| {
        std::fs::File::create(root.join(path)).and_then(|mut file| file.write_all(bytes))
    };
    for path in FOLDERS.iter().chain(&["scripts"]) {
        std::fs::create_dir_all(root.join(path)).map_err(folder)?;
    }
    for path in FILES {
        write(path, b"").map_err(folder)?;
    }
    let mut list = Vec::new();
    for file in [SCRIPT, LIST] {
        let missing = || RecipientsError::NoScript { commit: commit.to_owned(), file };
        list = blob(file).ok_or_else(missing)?;
        write(file, &list).map_err(folder)?;
    }
    for path in READ {
        if let Some(bytes) = blob(path) {
            write(path, &bytes).map_err(folder)?;
        }
    }
    // A pattern without a slash at its end stands for all below it where it names a folder; the
    // script looks at the disk to know.
    for pattern in String::from_utf8_lossy(&list).lines().filter_map(file_pattern) {
        let is_folder = tree
            .get_path(Path::new(pattern))
            .is_ok_and(|entry| entry.kind() == Some(git2::ObjectType::Tree));
        if is_folder {
            std::fs::create_dir_all(root.join(pattern)).map_err(folder)?;
        }
    }
    Ok(())
}

/// The pattern of an `F:` or `X:` line, if it can name a folder without saying so.
fn file_pattern(line: &str) -> Option<&str> {
    let pattern = line.strip_prefix("F:").or_else(|| line.strip_prefix("X:"))?.trim();
    let plain =
        !pattern.is_empty() && !pattern.ends_with('/') && !pattern.contains(['*', '?', '[']);
    // Not out of the folder, should a list ever say so.
    let inside =
        Path::new(pattern).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    (plain && inside).then_some(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_patterns_may_be_folders() {
        assert_eq!(file_pattern("F:\tarch/x86/kvm"), Some("arch/x86/kvm"));
        for line in ["F:\tfs/", "F:\tfs/*.c", "M:\tx", "F:\t../etc", "F:\t/etc", "F:", ""] {
            assert_eq!(file_pattern(line), None, "{line}");
        }
    }
}
