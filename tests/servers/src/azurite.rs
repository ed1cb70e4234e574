//! Azurite, Microsoft's emulator of Azure's blob store, from npm.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::child::Guarded;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running emulator with the container `kiln`. It ends with this value, or with this process.
#[derive(Debug)]
pub struct Azurite {
    port: u16,
    _server: Guarded,
}

impl Azurite {
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
        Ok(Self { port, _server: server })
    }

    /// What a client has to be told, as environment variables of Azure's tools. Account and key
    /// are the emulator's own, which everybody knows.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let account = "devstoreaccount1";
        vec![
            ("AZURE_STORAGE_ACCOUNT_NAME", account.into()),
            (
                "AZURE_STORAGE_ACCOUNT_KEY",
                "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
                    .into(),
            ),
            ("AZURE_STORAGE_ENDPOINT", format!("http://127.0.0.1:{}/{account}", self.port)),
            ("AZURE_ALLOW_HTTP", "true".into()),
        ]
    }
}
