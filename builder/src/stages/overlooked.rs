//! Changes that make, run upon what it has made, could overlook.

use super::difference::difference;
use super::plan::{Plan, is_make_text, plan};
use crate::closure::{Closure, Paths, VisibleChange, What, Why, display};
use crate::error::BuildError;
use crate::pool::Folder;
use crate::request::host_arch;
use crate::tree::{KernelVersion, Repository, is_c};
use crate::units::{Units, preprocessor_sees_all, scan};

/// Why make, run in a pair on a wanted tree, could go on from objects that are not what the tree gives:
/// what differs that builds here asked about, and of which make does not know what depends on it.
/// (`scripts/mksysmap`, say, which `scripts/link-vmlinux.sh` runs; make only knows the latter.) `None`:
/// it can't.
///
/// [`Repository::unnoticed`] and `plan` say which changes these are. Files that compilers read don't
/// count for having no record now if they had one when a build here last ended well: what was being made
/// in a build that failed or was killed since has lost its record, and will be made. Of a kernel whose compilers read what no record lists (`kernel` is the wanted
/// one's version; `None`: built by a command, of which nothing more is known), every change that was
/// asked about is one.
pub(crate) fn overlooked(
    repository: &Repository,
    pair: &Folder,
    wanted: &str,
    kernel: Option<KernelVersion>,
) -> Result<Option<String>, BuildError> {
    let Some(built) = pair.state.objects.tree.as_deref() else { return Ok(None) };
    if !repository.which_trees(&[built])?.contains(&true) {
        return Ok(Some("its tree is not in this repository".to_owned()));
    }
    let reads = pair.reads();
    if let Some(path) = repository.unnoticed(built, wanted, reads.as_ref())? {
        return Ok(Some(display(&path)));
    }
    let Some(kernel) = kernel else { return Ok(None) };
    let is_watched = reads.is_some();
    let closure = match reads {
        Some(closure) => closure,
        None => of_everything(&repository.visible_changes(built, wanted)?),
    };
    let touched = difference(repository, built, wanted, &closure)?;
    let Some(first) = touched.first() else { return Ok(None) };
    if !preprocessor_sees_all(host_arch(), kernel) {
        return Ok(Some(display(&first.touch.path)));
    }
    let units = Units::of(&scan(&pair.objects())?, &pair.seen_sources());
    let before = pair.units().unwrap_or_default();
    let has_record = |units: &Units, path: &[u8]| units.readers(path).next().is_some();
    for one in touched {
        let path = one.touch.path.clone();
        let is_compiled = is_c(&path) && one.touch.why == Why::Read && !is_of_tools(&path);
        let was_recorded = !is_watched || has_record(&before, &path);
        if is_compiled && was_recorded && !has_record(&units, &path) {
            continue;
        }
        if let Plan::Compile(reason) = plan(&[one], &units)
            && reason.from_nothing
        {
            return Ok(Some(display(&path)));
        }
    }
    Ok(None)
}

/// What stands for a closure where nobody watched: everything that changed counts as read and as looked
/// for. Left out is what no build of a kernel reads, and C files that come or go: where compilers look
/// for those is judged by their names (see `pool::shadow`).
fn of_everything(changes: &[VisibleChange]) -> Closure {
    let comes = |change: &VisibleChange| change.what == What::Presence && is_c(&change.path);
    let used = changes.iter().filter(|change| !is_for_people(&change.path) && !comes(change));
    Closure { read: Paths::new(used.map(|change| &change.path)), ..Closure::default() }
}

fn is_of_tools(path: &[u8]) -> bool {
    path.starts_with(b"tools/")
}

/// Folders that no build of a kernel reads anything of but makefiles and Kconfig.
const FOR_PEOPLE: &[&[u8]] = &[b"Documentation/", b"LICENSES/", b"tools/testing/", b"tools/perf/"];

/// Files of that kind, by their names.
const NOTES: &[&[u8]] =
    &[b"MAINTAINERS", b"CREDITS", b"COPYING", b"README", b".mailmap", b".gitignore"];

fn is_for_people(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    let inside = |folder: &&[u8]| path.starts_with(folder);
    NOTES.contains(&name) || (FOR_PEOPLE.iter().any(inside) && !is_make_text(path))
}
