//! Changes that make could overlook because nobody recorded who reads the file.

use super::difference::difference;
use super::plan::{Plan, plan};
use crate::closure::Closure;
use crate::error::BuildError;
use crate::pool::Pair;
use crate::tree::Repository;
use crate::units::{Units, scan};

/// The first file that differs between the tree of a pair's objects and another one, that a build
/// here read, and of which neither a compiler's record nor a makefile says for what: make would go
/// on from objects that depend on it. (`scripts/mksysmap`, say, which `scripts/link-vmlinux.sh`
/// runs; make only knows the latter.) Files that compilers read don't count where the last build did
/// not end well: what was not made yet has no record, and will be made.
pub(crate) fn unrecorded(
    repository: &Repository,
    pair: &Pair,
    wanted: &str,
    closure: &Closure,
) -> Result<Option<Box<[u8]>>, BuildError> {
    let Some(built) = pair.state.objects.tree.as_deref() else { return Ok(None) };
    if repository.changed_paths(built, wanted).is_err() {
        // Of another repository: nothing is known, and the pair is judged by its files.
        return Ok(None);
    }
    let touched = difference(repository, built, wanted, closure)?;
    if touched.is_empty() {
        return Ok(None);
    }
    let is_whole = pair.state.objects.build.is_some();
    let units = Units::of(&scan(&pair.objects())?, &pair.source());
    for one in touched {
        let path = one.touch.path.clone();
        let is_compiled = [&b".c"[..], b".h", b".S"].iter().any(|end| path.ends_with(end));
        // `tools/` is built by rules of its own, whose records name files from other folders.
        if path.starts_with(b"tools/") || (is_compiled && !is_whole) {
            continue;
        }
        if let Plan::Compile(reason) = plan(&[one], &units)
            && reason.unrecorded
        {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
