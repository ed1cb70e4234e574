//! Mount points that were left behind.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::statvfs::statvfs;

use super::error::TraceError;

/// Takes away whatever is mounted at a path, so that the folder below can be used or removed. A
/// killed Kiln leaves a mount on which every access fails ("Transport endpoint is not connected").
pub(crate) fn clear(view: &Path) -> Result<(), TraceError> {
    // Several may lie over each other.
    while is_mounted(view) {
        detach(view).map_err(|source| TraceError::Stale { view: view.into(), source })?;
    }
    Ok(())
}

/// Whether a file system is mounted at a path. A mount whose server is gone counts.
pub(super) fn is_mounted(view: &Path) -> bool {
    let Some(parent) = view.parent() else { return false };
    match (fs::symlink_metadata(view), fs::symlink_metadata(parent)) {
        (Ok(here), Ok(parent)) => here.dev() != parent.dev(),
        (Err(error), _) => error.raw_os_error() == Some(Errno::ENOTCONN as i32),
        _ => false,
    }
}

/// The device number of what is mounted at a path. An error where its server is gone, which the
/// attributes alone would not show: the kernel may remember them. No look-up is made.
pub(super) fn device_of(view: &Path) -> io::Result<u64> {
    // The server is asked for this each time.
    statvfs(view)?;
    Ok(fs::symlink_metadata(view)?.dev())
}

/// Ends a view: cuts the connection to its server, which also ends copies of the mount in other
/// mount namespaces, and takes the mount away even when something still uses it.
pub(super) fn detach(view: &Path) -> io::Result<()> {
    let flags = MntFlags::MNT_FORCE | MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW;
    match umount2(view, flags) {
        Err(Errno::EPERM) => ask_fusermount(view),
        other => Ok(other?),
    }
}

/// Unmounts as somebody who is not root.
fn ask_fusermount(view: &Path) -> io::Result<()> {
    let mut command = Command::new("fusermount3");
    command.args(["-u", "-q", "-z", "--"]).arg(view);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("fusermount3 ended with {status}")))
}
