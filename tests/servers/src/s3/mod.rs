//! An S3 server over a folder, on the loopback interface.

mod faithful;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use faithful::Faithful;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The bucket that is there from the start.
pub const BUCKET: &str = "kiln";

/// The access key; the secret is the same.
pub const KEY: &str = "kiln-test";

/// A running server. It ends with this value.
#[derive(Debug)]
pub struct S3 {
    address: SocketAddr,
    folder: PathBuf,
    serving: JoinHandle<()>,
}

impl S3 {
    /// Serves a folder, with the bucket [`BUCKET`], on a free port.
    pub async fn start(folder: &Path) -> io::Result<Self> {
        Self::listen(folder, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Serves a folder at an address.
    pub async fn listen(folder: &Path, address: SocketAddr) -> io::Result<Self> {
        let bucket = folder.join(BUCKET);
        std::fs::create_dir_all(&bucket)?;
        let files = s3s_fs::FileSystem::new(folder)
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
        let mut service = S3ServiceBuilder::new(Faithful::new(files));
        service.set_auth(SimpleAuth::from_single(KEY, KEY));
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(serve(listener, service.build()));
        Ok(Self { address, folder: bucket, serving })
    }

    /// `http://ADDRESS:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The folder with the bucket's objects as files.
    pub fn bucket(&self) -> &Path {
        &self.folder
    }

    /// What a client has to be told, as environment variables of AWS's tools.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT", self.endpoint()),
            ("AWS_ALLOW_HTTP", "true".into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ACCESS_KEY_ID", KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", KEY.into()),
        ]
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, service: S3Service) {
    let http = hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let _ = socket.set_nodelay(true);
        let (http, service) = (http.clone(), service.clone());
        // A client that goes away ends its connection with an error: nobody's business here.
        tokio::spawn(async move {
            let _ended = http.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}
