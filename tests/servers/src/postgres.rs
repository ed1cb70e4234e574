//! A PostgreSQL cluster on a Unix socket, with the programs of Debian's `postgresql` package.

use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::unistd::{User, geteuid};

use crate::child::Guarded;

/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where Debian keeps the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A running cluster. It ends with this value, or with this process.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    programs: PathBuf,
    databases: AtomicU32,
    _server: Guarded,
}

impl Postgres {
    /// The cluster that everything in this process shares; `None` when PostgreSQL is not
    /// installed.
    ///
    /// # Panics
    /// When it is installed and can't be started.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start().expect("PostgreSQL starts")).as_ref()
    }

    /// Makes a cluster and starts it; `Ok(None)` when PostgreSQL is not installed. It is fast
    /// rather than safe: it survives no power cut.
    pub fn start() -> io::Result<Option<Self>> {
        let Some(programs) = programs() else { return Ok(None) };
        let folder = tempfile::Builder::new().prefix("kiln-pg.").tempdir()?.keep();
        // The server refuses to run as root.
        let user = if geteuid().is_root() {
            let postgres = User::from_name("postgres")?
                .ok_or_else(|| io::Error::other("there is no user 'postgres'"))?;
            chown(&folder, Some(postgres.uid.as_raw()), Some(postgres.gid.as_raw()))?;
            Some((postgres.uid.as_raw(), postgres.gid.as_raw()))
        } else {
            None
        };
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        let data = folder.join("data");
        let mut initdb = Command::new(programs.join("initdb"));
        initdb.args(["--auth=trust", "--username=kiln", "--encoding=UTF8", "--locale=C.UTF-8"]);
        initdb.args(["--no-sync", "--no-instructions", "-D"]).arg(&data).current_dir("/");
        if let Some((user, group)) = user {
            initdb.uid(user).gid(group);
        }
        let made = initdb.output()?;
        if !made.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&made.stderr).into_owned()));
        }
        let (data, socket) = (text(&data), text(&folder));
        let server = text(&programs.join("postgres"));
        let mut command = vec![server.as_str(), "-D", &data, "-k", &socket];
        for setting in [
            "listen_addresses=",
            "fsync=off",
            "full_page_writes=off",
            "max_connections=200",
            "log_min_messages=panic",
            "logging_collector=off",
        ] {
            command.extend(["-c", setting]);
        }
        let mut server = Guarded::start(&socket, &command, user)?;
        let begun = Instant::now();
        while !folder.join(".s.PGSQL.5432").exists() {
            if let Some(status) = server.ended() {
                return Err(io::Error::other(format!("postgres ended at once ({status})")));
            }
            if begun.elapsed() > PATIENCE {
                return Err(io::Error::other("postgres does not start"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let databases = AtomicU32::new(0);
        let postgres = Self { folder, programs, databases, _server: server };
        postgres.wait_until_ready(begun)?;
        Ok(Some(postgres))
    }

    /// A new, empty database: its URL.
    pub fn database(&self) -> io::Result<String> {
        let name = format!("kiln{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let made = self.client("createdb").arg(&name).output()?;
        if !made.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&made.stderr).into_owned()));
        }
        Ok(format!("postgres:///{name}?host={}&user=kiln", text(&self.folder)))
    }

    fn wait_until_ready(&self, begun: Instant) -> io::Result<()> {
        while !self.client("pg_isready").arg("--quiet").status()?.success() {
            if begun.elapsed() > PATIENCE {
                return Err(io::Error::other("postgres does not get ready"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.arg("-h").arg(&self.folder).args(["-U", "kiln"]).current_dir("/");
        command
    }
}

/// The newest installed version's programs.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir(DEBIAN).ok()?;
    let newest = versions
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|version| Path::new(DEBIAN).join(format!("{version}/bin/initdb")).exists())
        .max()?;
    Some(Path::new(DEBIAN).join(format!("{newest}/bin")))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
