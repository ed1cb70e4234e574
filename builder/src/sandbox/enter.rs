//! The steps between `fork` and `exec` that put a process into its namespaces.
//!
//! Kiln has many threads, so a forked child may only make system calls until it executes: every
//! string is prepared before the fork, and nothing here allocates or takes a lock.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::RawFd;
use std::path::Path;

use nix::libc;
use nix::sys::statvfs::{FsFlags, statvfs};

use super::{Bind, Confinement, ROOT, c_path};
use crate::recipe;

/// Everything that the forked child needs, ready for use.
pub(crate) struct Enter {
    namespaces: Option<Namespaces>,
    folder: CString,
    /// Stays open in the child and its descendants, so that the lock on a working pair is held
    /// for as long as anything of the build still runs.
    kept_open: Option<RawFd>,
    parent: libc::pid_t,
}

struct Namespaces {
    maps: Option<Maps>,
    root: CString,
    folders: Vec<CString>,
    mounts: Vec<Mount>,
    /// Covered by an empty folder.
    hidden: Option<CString>,
}

/// One user and one group, mapped to themselves.
struct Maps {
    user: CString,
    group: CString,
}

struct Mount {
    host: CString,
    inside: CString,
    /// Flags of a read-only remount. Those that the host's mount already has must be repeated: in
    /// a user namespace they are locked.
    read_only: Option<libc::c_ulong>,
}

impl Enter {
    /// Prepares to run something in `folder` (as seen inside).
    pub(crate) fn new(
        confinement: &Confinement,
        binds: &[Bind],
        folder: &Path,
        kept_open: Option<RawFd>,
        hidden: Option<&Path>,
    ) -> io::Result<Self> {
        let namespaces = match confinement {
            Confinement::Namespaces { user } => Some(Namespaces::new(*user, binds, hidden)?),
            Confinement::Plain { .. } => None,
        };
        let parent = nix::unistd::getpid().as_raw();
        Ok(Self { namespaces, folder: c_path(folder)?, kept_open, parent })
    }

    /// Runs in the forked child, before `exec`.
    ///
    /// With namespaces, three processes come out of it: a monitor, which is the child that the
    /// caller waits for; the first process of the new process namespace, whose end kills all
    /// others; and the one that returns from here and executes. The first two never return: they
    /// pass on how the next one ended, a signal `n` as exit code 128 + n.
    pub(crate) fn enter(&self) -> io::Result<()> {
        // SAFETY: plain system calls on values that outlive them.
        unsafe {
            check(libc::setpgid(0, 0))?;
            libc::umask(recipe::UMASK);
            match &self.namespaces {
                None => {
                    die_with_parent()?;
                    if libc::getppid() != self.parent {
                        libc::_exit(128 + libc::SIGKILL);
                    }
                }
                Some(namespaces) => {
                    namespaces.unshare()?;
                    // Taking a user namespace clears this setting, so it comes after.
                    die_with_parent()?;
                    if libc::getppid() != self.parent {
                        libc::_exit(128 + libc::SIGKILL);
                    }
                    namespaces.mount()?;
                    become_grandchild()?;
                }
            }
            if let Some(fd) = self.kept_open {
                check(libc::fcntl(fd, libc::F_SETFD, 0))?;
            }
            check(libc::chdir(self.folder.as_ptr()))
        }
    }
}

impl Namespaces {
    fn new(user: bool, binds: &[Bind], hidden: Option<&Path>) -> io::Result<Self> {
        let text = |text: String| CString::new(text).map_err(io::Error::other);
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        let maps = if user {
            Some(Maps {
                user: text(format!("{uid} {uid} 1"))?,
                group: text(format!("{gid} {gid} 1"))?,
            })
        } else {
            None
        };
        let mut folders: Vec<CString> = Vec::new();
        let mut mounts = Vec::new();
        for bind in binds {
            let mut parents: Vec<&Path> = Path::new(bind.inside).ancestors().collect();
            parents.reverse();
            for parent in parents.into_iter().filter(|parent| parent.starts_with(ROOT)).skip(1) {
                let parent = c_path(parent)?;
                if !folders.contains(&parent) {
                    folders.push(parent);
                }
            }
            let read_only = if bind.read_only { Some(read_only_flags(&bind.host)?) } else { None };
            mounts.push(Mount {
                host: c_path(&bind.host)?,
                inside: c_path(Path::new(bind.inside))?,
                read_only,
            });
        }
        // Below the new root nothing of the host is left to be hidden. Links are resolved here, so
        // that this holds of where the folder really is.
        let hidden = match hidden.map(Path::canonicalize).transpose()? {
            Some(hidden) if !hidden.starts_with(ROOT) => Some(c_path(&hidden)?),
            _ => None,
        };
        Ok(Self { maps, root: c_path(Path::new(ROOT))?, folders, mounts, hidden })
    }

    /// # Safety
    /// Only in a forked child.
    unsafe fn unshare(&self) -> io::Result<()> {
        // SAFETY: plain system calls.
        unsafe {
            let user = if self.maps.is_some() { libc::CLONE_NEWUSER } else { 0 };
            check(libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWPID | user))?;
            if let Some(maps) = &self.maps {
                // Without this the kernel refuses a group map (user_namespaces(7)).
                write_to(c"/proc/self/setgroups", c"deny")?;
                write_to(c"/proc/self/uid_map", &maps.user)?;
                write_to(c"/proc/self/gid_map", &maps.group)?;
            }
            Ok(())
        }
    }

    /// # Safety
    /// Only in a forked child with a mount namespace of its own.
    unsafe fn mount(&self) -> io::Result<()> {
        // Enough for any set of binds; the descriptors wait here while their paths vanish below
        // the new root.
        let mut trees = [-1; 8];
        let tree = (libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC) as libc::c_long;
        let null = std::ptr::null();
        if self.mounts.len() > trees.len() {
            return Err(io::Error::from_raw_os_error(libc::E2BIG));
        }
        // SAFETY: plain system calls; every pointer is to a C string of `self` or a literal.
        unsafe {
            let private = libc::MS_REC | libc::MS_PRIVATE;
            check(libc::mount(null, c"/".as_ptr(), null, private, null.cast()))?;
            for (slot, mount) in trees.iter_mut().zip(&self.mounts) {
                let at = libc::AT_FDCWD as libc::c_long;
                *slot =
                    check_long(libc::syscall(libc::SYS_open_tree, at, mount.host.as_ptr(), tree))?;
            }
            let options = c"mode=0755,size=1m";
            check(libc::mount(
                c"kiln".as_ptr(),
                self.root.as_ptr(),
                c"tmpfs".as_ptr(),
                libc::MS_NOSUID | libc::MS_NODEV,
                options.as_ptr().cast(),
            ))?;
            for folder in &self.folders {
                check(libc::mkdir(folder.as_ptr(), 0o755))?;
            }
            for (&slot, mount) in trees.iter().zip(&self.mounts) {
                check_long(libc::syscall(
                    libc::SYS_move_mount,
                    slot,
                    c"".as_ptr(),
                    libc::AT_FDCWD as libc::c_long,
                    mount.inside.as_ptr(),
                    libc::MOVE_MOUNT_F_EMPTY_PATH as libc::c_long,
                ))?;
                libc::close(slot as libc::c_int);
                if let Some(flags) = mount.read_only {
                    let inside = mount.inside.as_ptr();
                    check(libc::mount(null, inside, null, flags, null.cast()))?;
                }
            }
            if let Some(hidden) = &self.hidden {
                let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_RDONLY;
                let options = c"mode=0755,size=64k";
                let (name, kind) = (c"kiln".as_ptr(), c"tmpfs".as_ptr());
                check(libc::mount(name, hidden.as_ptr(), kind, flags, options.as_ptr().cast()))?;
            }
            Ok(())
        }
    }
}

/// Forks twice; returns only in the grandchild.
///
/// # Safety
/// Only in a forked child that has unshared its process namespace.
unsafe fn become_grandchild() -> io::Result<()> {
    // SAFETY: see `fork` and `wait_and_exit`.
    unsafe {
        for _ in 0..2 {
            match fork()? {
                0 => die_with_parent()?,
                child => wait_and_exit(child),
            }
        }
        Ok(())
    }
}

/// The bare system call: the C library's `fork` runs handlers of the whole program.
///
/// # Safety
/// Only in a process with a single thread.
unsafe fn fork() -> io::Result<libc::pid_t> {
    // SAFETY: without CLONE_VM or a new stack this is fork(2). The order of arguments differs
    // between architectures, but all except the flags are zero; s390 has the flags second.
    let pid = unsafe {
        if cfg!(target_arch = "s390x") {
            libc::syscall(libc::SYS_clone, 0, libc::SIGCHLD, 0, 0, 0)
        } else {
            libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0)
        }
    };
    check_long(pid).map(|pid| pid as libc::pid_t)
}

/// Waits for one child, reaping others on the way, and ends as it ended.
///
/// # Safety
/// Only in a forked child.
unsafe fn wait_and_exit(child: libc::pid_t) -> ! {
    // SAFETY: plain system calls.
    unsafe {
        // Among these is the pipe over which `spawn` learns of `exec`: it must not stay open here.
        if libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0) != 0 {
            for fd in 0..1024 {
                libc::close(fd);
            }
        }
        loop {
            let mut status = 0;
            let reaped = libc::waitpid(-1, &mut status, 0);
            if reaped == child && libc::WIFEXITED(status) {
                libc::_exit(libc::WEXITSTATUS(status));
            }
            if reaped == child && libc::WIFSIGNALED(status) {
                libc::_exit(128 + libc::WTERMSIG(status));
            }
            if reaped < 0 && *libc::__errno_location() != libc::EINTR {
                libc::_exit(127);
            }
        }
    }
}

/// Asks the kernel to kill this process when the thread that forked it ends.
fn die_with_parent() -> io::Result<()> {
    // SAFETY: a plain system call.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })
}

fn write_to(path: &CStr, text: &CStr) -> io::Result<()> {
    // SAFETY: plain system calls on strings that outlive them.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        check(fd)?;
        let length = text.to_bytes().len();
        let written = libc::write(fd, text.as_ptr().cast(), length);
        let error = io::Error::last_os_error();
        libc::close(fd);
        if written == length as isize { Ok(()) } else { Err(error) }
    }
}

fn read_only_flags(host: &Path) -> io::Result<libc::c_ulong> {
    let has = statvfs(host)?.flags();
    let mut flags = libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY;
    for (flag, mount) in [
        (FsFlags::ST_NOSUID, libc::MS_NOSUID),
        (FsFlags::ST_NODEV, libc::MS_NODEV),
        (FsFlags::ST_NOEXEC, libc::MS_NOEXEC),
        (FsFlags::ST_NOATIME, libc::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, libc::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, libc::MS_RELATIME),
    ] {
        if has.contains(flag) {
            flags |= mount;
        }
    }
    Ok(flags)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn check_long(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
