//! Changes that make, run upon what it has made, could overlook.

use super::difference::difference;
use super::plan::{Plan, plan};
use crate::closure::{Closure, Why};
use crate::error::BuildError;
use crate::pool::Folder;
use crate::request::host_arch;
use crate::tree::{KernelVersion, Repository, is_c};
use crate::units::{Units, preprocessor_sees_all, scan};

/// The first path at which a tree differs from that of a pair's objects, that a build here asked
/// about, and of which make may not know what depends on it: it would go on from objects that are not
/// what the tree gives. `plan` says which these are. (`scripts/mksysmap`, say, which
/// `scripts/link-vmlinux.sh` runs; make only knows the latter.) Files that compilers read don't count
/// for having no record where the last build did not end well: what was not made yet has none, and
/// will be made. Of a kernel whose compilers read what no record lists (`kernel` is the wanted one's
/// version), every such path is one.
pub(crate) fn overlooked(
    repository: &Repository,
    pair: &Folder,
    wanted: &str,
    closure: &Closure,
    kernel: KernelVersion,
) -> Result<Option<Box<[u8]>>, BuildError> {
    let Some(built) = pair.state.objects.tree.as_deref() else { return Ok(None) };
    if repository.changed_paths(built, wanted).is_err() {
        // Of another repository: nothing is known, and the pair is judged by its files.
        return Ok(None);
    }
    let touched = difference(repository, built, wanted, closure)?;
    let Some(first) = touched.first() else { return Ok(None) };
    if !preprocessor_sees_all(host_arch(), kernel) {
        return Ok(Some(first.touch.path.clone()));
    }
    let is_whole = pair.state.objects.build.is_some();
    let units = Units::of(&scan(&pair.objects())?, &pair.source());
    for one in touched {
        let path = one.touch.path.clone();
        let has_record = units.readers(&path).next().is_some();
        if !is_whole && is_c(&path) && !has_record && one.touch.why == Why::Read {
            continue;
        }
        if let Plan::Compile(reason) = plan(&[one], &units)
            && reason.from_nothing
        {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
