//! Mounting a view of a folder, and taking it down.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fuser::{BackgroundSession, Config, INodeNo, MountOption, Session, SessionACL};

use super::error::TraceError;
use super::mountpoint::{clear, detach, device_of};
use super::record::Record;
use super::view::View;
use crate::closure::Closure;

/// Threads that answer the kernel. Make keeps several processes waiting at a time; the work per
/// question is small.
const THREADS: usize = 2;

/// How long the threads may take to notice that the view is gone. They do at once, unless a
/// process that is not root could only detach it; then they end with the last user.
const PATIENCE: Duration = Duration::from_secs(2);

/// A folder of sources, shown read-only at another path while everything that is asked about it is
/// written down.
///
/// The folder must not change meanwhile. Dropping it takes the view down.
#[derive(Debug)]
pub(crate) struct TracedSource {
    session: Option<BackgroundSession>,
    record: Arc<Record>,
    view: PathBuf,
    /// The device number of the mounted view: no other mount has it while this one is there.
    device: u64,
}

impl TracedSource {
    /// Shows the folder `source` at `view`, a folder that is made when absent. What an earlier,
    /// killed run left mounted there is taken away first.
    ///
    /// Other mount namespaces see the view when they are made after this.
    pub(crate) fn mount(source: &Path, view: &Path) -> Result<Self, TraceError> {
        clear(view)?;
        let record = Arc::new(Record::new());
        let failed =
            |error| TraceError::Mount { folder: source.into(), view: view.into(), source: error };
        let session = serve(source, view, record.clone()).map_err(failed)?;
        let mut traced = Self { session: Some(session), record, view: view.into(), device: 0 };
        traced.device = device_of(view).map_err(failed)?;
        Ok(traced)
    }

    /// The time of a file below the folder, given by its path from there, was set: whoever looks at it
    /// from now on is told so. Nothing else of a folder that is shown may change.
    pub(crate) fn touched(&self, path: &Path) -> Result<(), TraceError> {
        let Some(session) = &self.session else { return Ok(()) };
        // Nobody remembers what nobody has looked at.
        let Some(number) = self.record.number_of(path) else { return Ok(()) };
        /// Only attributes: content is the same (`fuse_reverse_inval_inode` in Linux's fs/fuse/inode.c).
        const NO_CONTENT: i64 = -1;
        let told = session.notifier().inval_inode(INodeNo(number), NO_CONTENT, 0);
        told.map_err(|error| {
            let reason = format!("the time of {} could not be told: {error}", path.display());
            TraceError::Lost { view: self.view.clone(), reason }
        })
    }

    /// Takes the view down and tells what was asked about it. To be called when every process that
    /// may have used it has ended.
    pub(crate) fn finish(mut self) -> Result<Closure, TraceError> {
        let lost = |reason| TraceError::Lost { view: self.view.clone(), reason };
        // Somebody may have unmounted it, or a thread may have failed: what came after is unknown.
        // The mount is asked as well as the threads, which may notice its end a moment later.
        let ended = self.session.as_ref().is_none_or(|session| session.guard.is_finished());
        if ended || device_of(&self.view).ok() != Some(self.device) {
            return Err(lost("it was taken down before the build ended".into()));
        }
        let closure = self.record.take().map_err(lost);
        self.unmount();
        closure
    }

    fn unmount(&mut self) {
        let Some(session) = self.session.take() else { return };
        // What this can't do, dropping the session does its own way.
        let _ = detach(&self.view);
        let BackgroundSession { guard, .. } = session;
        let begun = Instant::now();
        while !guard.is_finished() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for TracedSource {
    fn drop(&mut self) {
        self.unmount();
    }
}

fn serve(source: &Path, view: &Path, record: Arc<Record>) -> io::Result<BackgroundSession> {
    fs::create_dir_all(view)?;
    let source = source.canonicalize()?;
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("kiln".into()),
        // Read-only for the kernel too: reading then does not make it forget attributes, which
        // it would otherwise do for the sake of access times.
        MountOption::RO,
        MountOption::DefaultPermissions,
    ];
    if nix::unistd::geteuid().is_root() {
        // As in any folder, file modes say who may read. Others may do this only where
        // /etc/fuse.conf lets them.
        config.acl = SessionACL::All;
    }
    config.n_threads = Some(THREADS);
    Session::new(View::new(&source, record), view, &config)?.spawn()
}

/// [`is_available`], tried once.
pub(crate) fn availability() -> &'static Result<(), String> {
    static FOUND: OnceLock<Result<(), String>> = OnceLock::new();
    FOUND.get_or_init(is_available)
}

/// Whether builds can be watched on this machine, found by trying; `Err` says why not.
pub(crate) fn is_available() -> Result<(), String> {
    let attempt = || -> Result<Closure, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (source, view) = (folder.path().join("source"), folder.path().join("view"));
        fs::create_dir(&source)?;
        fs::write(source.join("probe"), "probe")?;
        let traced = TracedSource::mount(&source, &view)?;
        let read = fs::read(view.join("probe"));
        let closure = traced.finish()?;
        if read? != b"probe" {
            return Err("the view showed something else than what is there".into());
        }
        Ok(closure)
    };
    match attempt() {
        Ok(closure) if closure.read.contains(b"probe") => Ok(()),
        Ok(_) => Err("the view did not notice that a file was read".into()),
        Err(error) => Err(error.to_string()),
    }
}
