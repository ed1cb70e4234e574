//! The file system: a folder shown as it is, every question written down.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fuser::{
    Errno, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry,
    ReplyOpen, Request,
};
use nix::libc;

use super::attributes::{attributes, kind_of};
use super::record::{ROOT, Record};

/// How long the kernel may answer from what it was told before: longer than any build. The folder
/// does not change while it is shown, but for what it is told of (`TracedSource::touched`).
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A folder and the record of what was asked about it.
pub(super) struct View {
    folder: PathBuf,
    record: Arc<Record>,
    /// Folders listed so far: the kernel fetches long ones in several pieces.
    listings: Mutex<HashMap<u64, Arc<[Item]>>>,
    /// The kernel takes "not implemented" for an answer to `open` and `opendir`, and does without.
    without_open: bool,
    without_opendir: bool,
}

struct Item {
    number: u64,
    kind: FileType,
    name: OsString,
}

impl View {
    pub(super) fn new(folder: &Path, record: Arc<Record>) -> Self {
        Self {
            folder: folder.into(),
            record,
            listings: Mutex::default(),
            without_open: false,
            without_opendir: false,
        }
    }

    fn host_path(&self, number: INodeNo) -> io::Result<PathBuf> {
        let path = self.record.path(number.0).ok_or(io::ErrorKind::NotFound)?;
        Ok(if path.as_os_str().is_empty() { self.folder.clone() } else { self.folder.join(path) })
    }

    /// The error as the kernel wants it. A question about a file that the kernel knows to be there
    /// always has an answer, so this one spoils the record.
    fn fault(&self, doing: &str, number: INodeNo, error: &io::Error) -> Errno {
        let path = self.record.path(number.0).unwrap_or_default();
        self.record.fault(format!("{doing} {}: {error}", path.display()));
        errno(error)
    }

    fn read_at(&self, number: INodeNo, offset: u64, piece: &mut [u8]) -> io::Result<usize> {
        let file = File::open(self.host_path(number)?)?;
        let mut done = 0;
        // A short answer means the end of the file, so only the end may be answered short.
        while done < piece.len() {
            match file.read_at(&mut piece[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// A folder's entries in order of their names: the host's own order depends on its history.
    fn listing(&self, number: INodeNo) -> io::Result<Arc<[Item]>> {
        let listings = || self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = listings().get(&number.0) {
            return Ok(known.clone());
        }
        let mut items = Vec::new();
        for item in fs::read_dir(self.host_path(number)?)? {
            let item = item?;
            let (name, kind) = (item.file_name(), kind_of(item.file_type()?));
            items.push(Item { number: self.record.number(number.0, &name), kind, name });
        }
        items.sort_by(|one, other| one.name.cmp(&other.name));
        let items: Arc<[Item]> = items.into();
        listings().insert(number.0, items.clone());
        Ok(items)
    }
}

impl Filesystem for View {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Never FUSE_DO_READDIRPLUS: with it, listing a folder would answer later look-ups too.
        let wanted = [InitFlags::FUSE_PARALLEL_DIROPS, InitFlags::FUSE_CACHE_SYMLINKS];
        for flag in wanted {
            // An older kernel asks more often; nothing else depends on these.
            let _ = config.add_capabilities(flag);
        }
        let able = config.capabilities();
        self.without_open = able.contains(InitFlags::FUSE_NO_OPEN_SUPPORT);
        self.without_opendir = able.contains(InitFlags::FUSE_NO_OPENDIR_SUPPORT);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let host = match self.host_path(parent) {
            Ok(folder) => fs::symlink_metadata(folder.join(name)),
            Err(error) => Err(error),
        };
        match host {
            Ok(host) => {
                let number = self.record.found(parent.0, name);
                if host.is_file() && host.len() == 0 {
                    // The kernel knows the size and will not ask for content.
                    self.record.read(number);
                }
                reply.entry(&FOR_EVER, &attributes(number, &host), Generation(0));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.record.missing(parent.0, name);
                match fs::symlink_metadata(&self.folder) {
                    // Number 0 says "nothing there", and may be remembered, unlike an error.
                    Ok(any) => reply.entry(&FOR_EVER, &attributes(0, &any), Generation(0)),
                    Err(error) => reply.error(self.fault("looking at", INodeNo(ROOT), &error)),
                }
            }
            // No tree that was checked out holds a name that is too long for the host.
            Err(error) if error.raw_os_error() == Some(libc::ENAMETOOLONG) => {
                reply.error(Errno::ENAMETOOLONG);
            }
            Err(error) => {
                let folder = self.record.path(parent.0).unwrap_or_default();
                let path = folder.join(name);
                self.record.fault(format!("looking up {}: {error}", path.display()));
                reply.error(errno(&error));
            }
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.host_path(number).and_then(fs::symlink_metadata) {
            Ok(host) => reply.attr(&FOR_EVER, &attributes(number.0, &host)),
            Err(error) => reply.error(self.fault("looking at", number, &error)),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        self.record.read(number.0);
        match self.host_path(number).and_then(fs::read_link) {
            Ok(target) => reply.data(target.as_os_str().as_bytes()),
            Err(error) => reply.error(self.fault("reading the link", number, &error)),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        if self.without_open {
            reply.error(Errno::ENOSYS);
        } else {
            reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        thread_local! {
            static PIECE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        self.record.read(number.0);
        PIECE.with_borrow_mut(|piece| {
            let size = size as usize;
            if piece.len() < size {
                piece.resize(size, 0);
            }
            match self.read_at(number, offset, &mut piece[..size]) {
                Ok(read) => reply.data(&piece[..read]),
                Err(error) => reply.error(self.fault("reading", number, &error)),
            }
        });
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        if self.without_opendir {
            reply.error(Errno::ENOSYS);
        } else {
            let flags = FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_CACHE_DIR;
            reply.opened(FileHandle(0), flags);
        }
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        self.record.listed(number.0);
        let items = match self.listing(number) {
            Ok(items) => items,
            Err(error) => return reply.error(self.fault("listing", number, &error)),
        };
        let dots = [".", ".."].map(|name| (number, FileType::Directory, OsStr::new(name)));
        let items = items.iter().map(|item| (INodeNo(item.number), item.kind, &*item.name));
        // An entry's offset is where to go on after it.
        let numbered = dots.into_iter().chain(items).zip(1..);
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for ((number, kind, name), next) in numbered.skip(skipped) {
            if reply.add(number, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_i32(error.raw_os_error().unwrap_or(libc::EIO))
}
