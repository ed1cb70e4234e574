//! What is wrong with a store, for people.

use std::collections::HashMap;

use kiln_cache::verify::Problem;

use super::text::hanging;

/// How a problem begins.
pub(crate) const PROBLEM: &str = "problem    ";

/// What is wrong, each reason once, with all that it is the reason of: one corrupt file may be what
/// twenty others rest on.
pub(crate) fn problems(found: &[Problem]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for problem in found {
        let place = *places.entry(&problem.why).or_insert_with(|| {
            reasons.push((&problem.why, Vec::new()));
            reasons.len() - 1
        });
        reasons[place].1.push(&problem.what);
    }
    let text = |(why, what): (&str, Vec<&str>)| match what[..] {
        [only] => hanging(PROBLEM, &format!("{only}: {why}")),
        _ => {
            let all = what.iter().map(|what| hanging("           - ", what));
            std::iter::once(hanging(PROBLEM, &format!("{why}; this concerns")))
                .chain(all)
                .collect::<Vec<_>>()
                .join("\n")
        }
    };
    reasons.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use kiln_cache::Digest;

    use super::*;
    use crate::terminal::table::WIDTH;

    #[test]
    fn one_reason_is_told_once_and_within_80_columns() {
        let digest = Digest::of(b"file").to_hex();
        let why = format!("blob {digest} is not in this store; push the same file again");
        let problem = |what: &str, why: &str| Problem { what: what.into(), why: why.into() };
        let build = format!("vmlinux of build {digest}");
        let found = [
            problem(&build, &why),
            problem("blobs/x", "it is not named like a blob: remove it"),
            problem(&format!("blob {digest}"), &why),
        ];
        let told = problems(&found);
        assert_eq!(told.len(), 2);
        assert_eq!(told[1], "problem    blobs/x: it is not named like a blob: remove it");
        assert_eq!(told[0].matches("push the same file again").count(), 1, "{}", told[0]);
        assert!(told[0].contains("\n           - vmlinux of build"), "{}", told[0]);
        assert!(told.join("\n").lines().all(|line| line.chars().count() <= WIDTH), "{told:?}");
    }
}
