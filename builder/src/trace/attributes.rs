//! What a process that asks for a file's attributes is told.
//!
//! Everything but times and owners is made a function of the git tree, so that a proof about trees
//! holds for what was seen: numbers that the host's file system makes up (blocks, the size and
//! link count of folders) are replaced by fixed ones.

use std::fs::{FileType as HostType, Metadata};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo};

/// Size of a folder, and of the pieces in which it is best to read files.
const BLOCK: u32 = 4096;
/// `st_blocks` counts in these, whatever the file system does (inode(7)).
const SECTOR: u64 = 512;

/// Attributes of a file of the host, under the number that the view gave it.
pub(super) fn attributes(number: u64, host: &Metadata) -> FileAttr {
    let kind = kind_of(host.file_type());
    let is_folder = kind == FileType::Directory;
    let size = if is_folder { BLOCK.into() } else { host.size() };
    let seconds = Duration::from_secs(host.mtime().unsigned_abs());
    // Times before 1970 are shown as 1970: no checkout makes any.
    let whole = if host.mtime() < 0 { Duration::ZERO } else { seconds };
    let modified = UNIX_EPOCH + whole + Duration::from_nanos(host.mtime_nsec().unsigned_abs());
    FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(SECTOR),
        atime: modified,
        mtime: modified,
        ctime: modified,
        crtime: UNIX_EPOCH,
        kind,
        perm: (host.mode() & 0o7777) as u16,
        // One link means "not counted" to whoever would reckon with a folder's subfolders.
        nlink: 1,
        uid: host.uid(),
        gid: host.gid(),
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    }
}

/// The kind of a file. A checkout holds files, folders and links; whatever else somebody put there
/// is shown as what it is.
pub(super) fn kind_of(host: HostType) -> FileType {
    FileType::from_std(host).unwrap_or(FileType::RegularFile)
}
