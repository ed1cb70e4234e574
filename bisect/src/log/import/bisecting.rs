//! Lines of `git bisect`: the calls that syzkaller logs, and git's answers.

use super::line::{Line, is_commit};

/// Reads a line as one of these records.
pub(super) fn line(text: &str) -> Option<Line> {
    if let Some(rest) = text.strip_prefix("# git bisect ") {
        return call(rest);
    }
    if let Some(rest) = text.strip_prefix("Bisecting: ") {
        return Some(left(rest).map_or(Line::Git, Line::Left));
    }
    if let Some(rest) = text.strip_prefix('[')
        && let Some((commit, title)) = rest.split_once("] ")
        && commit.len() >= 12
        && is_commit(commit)
    {
        return Some(Line::Moved { commit: commit.to_owned(), title: title.to_owned() });
    }
    if let Some((commit, rest)) = text.split_once(' ')
        && matches!(rest, "is the first bad commit" | "is the first good commit")
        && is_commit(commit)
    {
        return Some(Line::FirstBad(commit.to_owned()));
    }
    if text.starts_with("There are only 'skip'ped commits left to test.") {
        return Some(Line::OnlySkipped);
    }
    const OTHER: &[&str] = &[
        "The first bad commit could be any of:",
        "The first good commit could be any of:",
        "We cannot bisect more!",
        "The merge base ",
        "This means the bug has been fixed between ",
        "Some good revs are not ancestors of the bad rev.",
        "git bisect cannot work properly in this case.",
        "Maybe you mistook good and bad revs?",
        "Warning: the merge base between ",
        "So we cannot be sure the first bad commit is between ",
        "We continue anyway.",
    ];
    OTHER.iter().any(|word| text.starts_with(word)).then_some(Line::Git)
}

/// What git may say besides, between two records.
pub(super) fn chatter(text: &str) -> bool {
    const BEGINNINGS: &[&str] = &[
        "warning: ",
        "hint: ",
        "Previous HEAD position was ",
        "HEAD is now at ",
        "Updating files:",
        "Checking out files:",
        "Note: switching to ",
        "status: waiting for ",
    ];
    BEGINNINGS.iter().any(|word| text.starts_with(word))
}

fn call(rest: &str) -> Option<Line> {
    let mut words = rest.split_whitespace();
    let word = words.next()?;
    let first = words.next()?;
    let found = match word {
        // Ends can be tags, and there may be several good ones.
        "start" => {
            let good = words.next()?.into();
            return Some(Line::BisectStart { bad: first.into(), good });
        }
        "good" => Line::Marked { word: "good", commit: first.into() },
        "bad" => Line::Marked { word: "bad", commit: first.into() },
        "skip" => Line::Marked { word: "skip", commit: first.into() },
        _ => return None,
    };
    words.next().is_none().then_some(found)
}

/// `N revisions left to test after this (roughly M steps)`.
fn left(rest: &str) -> Option<u32> {
    let (number, rest) = rest.split_once(' ')?;
    rest.starts_with("revision").then(|| number.parse().ok())?
}
