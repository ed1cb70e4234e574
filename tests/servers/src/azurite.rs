//! Azurite, Microsoft's emulator of Azure's blob store, from npm.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::child::Guarded;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// The emulator's own account, which everybody knows.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The container that tests use.
const CONTAINER: &str = "kiln";

/// Creates a container (Azure's REST interface, "Create Container" and "Authorize with Shared Key");
/// the emulator is written for the same `node` that runs this.
const CREATE: &str = r#"
const [port, account, key, container] = process.argv.slice(1);
const path = `/${account}/${container}`;
const sent = { "x-ms-date": new Date().toUTCString(), "x-ms-version": "2021-08-06" };
const named = Object.entries(sent).map(([name, value]) => `${name}:${value}`);
const text = ["PUT", ...Array(11).fill(""), ...named, `/${account}${path}`, "restype:container"];
const hmac = require("crypto").createHmac("sha256", Buffer.from(key, "base64"));
const mac = hmac.update(text.join("\n")).digest("base64");
const headers = { ...sent, "content-length": 0, authorization: `SharedKey ${account}:${mac}` };
const options = { host: "127.0.0.1", port, method: "PUT", path: `${path}?restype=container`, headers };
const request = require("http").request(options, answer => {
  if (answer.statusCode !== 201) console.error(`status ${answer.statusCode}`);
  process.exit(answer.statusCode === 201 ? 0 : 1);
});
request.on("error", error => { console.error(error.message); process.exit(1); });
request.end();
"#;

/// A running emulator with the container `kiln`. It ends with this value, or with this process.
#[derive(Debug)]
pub struct Azurite {
    port: u16,
    _server: Guarded,
}

impl Azurite {
    /// The emulator's program: `KILN_AZURITE`, or where `tests/run` lets npm put it; `None` when it
    /// is not there.
    pub fn program() -> Option<String> {
        let named = std::env::var_os("KILN_AZURITE").map(PathBuf::from);
        let cache = || match std::env::var_os("XDG_CACHE_HOME") {
            Some(folder) => Some(PathBuf::from(folder)),
            None => Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")),
        };
        let path = match named {
            Some(path) => path,
            None => cache()?.join("kiln/azurite/node_modules/.bin/azurite-blob"),
        };
        path.exists().then(|| path.to_string_lossy().into_owned())
    }

    /// Starts `program` (`azurite-blob`) over a folder, which is removed at the end.
    pub fn start(program: &str, folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        // A port that is free now; nobody else takes it within the second.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (folder, text) = (folder.to_string_lossy().into_owned(), port.to_string());
        let command = [
            program,
            "--silent",
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            &text,
            "--location",
            &folder,
            "--skipApiVersionCheck",
            "--disableTelemetry",
        ];
        let mut server = Guarded::start(&folder, &command, None)?;
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = server.ended() {
                return Err(io::Error::other(format!("azurite ended at once ({status})")));
            }
            if begun.elapsed() > PATIENCE {
                return Err(io::Error::other("azurite does not start"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        create(port)?;
        Ok(Self { port, _server: server })
    }

    /// What a client has to be told, as environment variables of Azure's tools.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.into()),
            ("AZURE_STORAGE_ACCOUNT_KEY", KEY.into()),
            ("AZURE_STORAGE_ENDPOINT", format!("http://127.0.0.1:{}/{ACCOUNT}", self.port)),
            ("AZURE_ALLOW_HTTP", "true".into()),
        ]
    }
}

/// Creates the container.
fn create(port: u16) -> io::Result<()> {
    let args = ["-e", CREATE, &port.to_string(), ACCOUNT, KEY, CONTAINER];
    let made = Command::new("node").args(args).output()?;
    if made.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&made.stderr).trim().to_owned();
    Err(io::Error::other(format!("azurite has no container: {why}")))
}
