//! The client of another Kiln, against a small server that misbehaves on demand.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, IF_RANGE, RANGE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use common::{Fixture, draft, noise, story};
use futures::StreamExt;
use kiln_cache::remote::Timeouts;
use kiln_cache::{Digest, Remote, RemoteError};

const LEN: usize = 3_000_000;

/// What the server does.
struct Behaviour {
    /// What it has, under the digest it was asked for.
    content: Vec<u8>,
    /// Whether it knows ranges.
    ranges: bool,
    /// How many answers it breaks off, and after how many bytes.
    cuts: AtomicUsize,
    cut_at: usize,
    /// The `Range` header of each request.
    asked: Mutex<Vec<Option<String>>>,
}

impl Behaviour {
    fn honest(content: Vec<u8>) -> Self {
        let asked = Mutex::new(Vec::new());
        Self { content, ranges: true, cuts: AtomicUsize::new(0), cut_at: 0, asked }
    }

    fn asked(&self) -> Vec<Option<String>> {
        self.asked.lock().unwrap().clone()
    }
}

async fn blob(
    State(server): State<Arc<Behaviour>>,
    Path(digest): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    // There is no bucket behind it.
    if query.as_deref() == Some("form=stored") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let header = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    server.asked.lock().unwrap().push(header(RANGE));
    let fresh = header(IF_RANGE).is_none_or(|tag| tag == format!("\"{digest}\""));
    let from: usize = match header(RANGE) {
        Some(range) if server.ranges && fresh => {
            range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap()
        }
        _ => 0,
    };
    let len = server.content.len();
    let rest = Bytes::copy_from_slice(&server.content[from..]);
    let cut = server.cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    let body = if cut.is_ok() {
        let sent = rest.slice(..server.cut_at.min(rest.len()));
        // What was sent gets a moment to arrive: a connection that is reset drops it.
        let cut = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Err(std::io::Error::other("cut"))
        };
        let sent = futures::stream::once(std::future::ready(Ok(sent)));
        Body::from_stream(sent.chain(futures::stream::once(cut)))
    } else {
        Body::from(rest.clone())
    };
    let mut response = Response::builder().header(CONTENT_LENGTH, rest.len());
    if from > 0 {
        response = response
            .status(StatusCode::PARTIAL_CONTENT)
            .header(CONTENT_RANGE, format!("bytes {from}-{}/{len}", len - 1));
    }
    response.body(body).unwrap()
}

async fn serve(app: Router) -> Remote {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/kiln/", listener.local_addr().unwrap());
    let app = Router::new().nest("/kiln", app);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Remote::new(&url, Timeouts::default()).unwrap()
}

struct Download {
    _folder: tempfile::TempDir,
    server: Arc<Behaviour>,
    remote: Remote,
    digest: Digest,
    to: std::path::PathBuf,
    part: std::path::PathBuf,
}

impl Download {
    async fn from(server: Behaviour) -> Self {
        let server = Arc::new(server);
        let app = Router::new().route("/v1/blobs/{digest}", get(blob)).with_state(server.clone());
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("bzImage");
        let part = folder.path().join("bzImage.part");
        let digest = Digest::of(&noise(1, LEN));
        Self { _folder: folder, server, remote: serve(app).await, digest, to, part }
    }

    async fn run(&self) -> Result<(), RemoteError> {
        self.remote.download(&self.digest, LEN as u64, &self.to, true, &|_| {}).await
    }

    fn is_right(&self) -> bool {
        !self.part.exists() && std::fs::read(&self.to).unwrap() == noise(1, LEN)
    }

    fn left_nothing(&self) -> bool {
        !self.part.exists() && !self.to.exists()
    }
}

#[tokio::test]
async fn a_whole_file_arrives_with_progress() {
    let download = Download::from(Behaviour::honest(noise(1, LEN))).await;
    let seen = Mutex::new(Vec::new());
    let progress = |done| seen.lock().unwrap().push(done);
    let (digest, to) = (&download.digest, &download.to);
    download.remote.download(digest, LEN as u64, to, true, &progress).await.unwrap();
    assert!(download.is_right());
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted() && seen.first() == Some(&0) && seen.last() == Some(&(LEN as u64)));
    assert_eq!(download.server.asked(), [None]);
}

#[tokio::test]
async fn a_transfer_cut_half_way_goes_on_from_there() {
    let mut server = Behaviour::honest(noise(1, LEN));
    (server.cuts, server.cut_at) = (AtomicUsize::new(1), LEN / 2);
    let download = Download::from(server).await;
    download.run().await.unwrap();
    assert!(download.is_right());
    let asked = download.server.asked();
    assert_eq!((asked.len(), &asked[0]), (2, &None));
    let from: usize = asked[1].as_ref().unwrap()[6..].trim_end_matches('-').parse().unwrap();
    assert!(0 < from && from <= LEN / 2, "{from}");
}

#[tokio::test]
async fn many_cuts_are_survived_as_long_as_something_arrives() {
    let mut server = Behaviour::honest(noise(1, LEN));
    (server.cuts, server.cut_at) = (AtomicUsize::new(6), LEN / 10);
    let download = Download::from(server).await;
    download.run().await.unwrap();
    assert!(download.is_right());
    assert_eq!(download.server.asked().len(), 7);
}

#[tokio::test]
async fn a_partial_file_of_an_earlier_process_is_used() {
    let download = Download::from(Behaviour::honest(noise(1, LEN))).await;
    std::fs::write(&download.part, &noise(1, LEN)[..LEN / 3]).unwrap();
    download.run().await.unwrap();
    assert!(download.is_right());
    assert_eq!(download.server.asked(), [Some(format!("bytes={}-", LEN / 3))]);
    // A complete one needs no request at all.
    std::fs::rename(&download.to, &download.part).unwrap();
    download.run().await.unwrap();
    assert!(download.is_right());
    assert_eq!(download.server.asked().len(), 1);
}

#[tokio::test]
async fn a_partial_file_of_something_else_is_thrown_away() {
    for len in [LEN / 2, LEN, LEN + 5] {
        let download = Download::from(Behaviour::honest(noise(1, LEN))).await;
        std::fs::write(&download.part, noise(2, len)).unwrap();
        download.run().await.unwrap();
        assert!(download.is_right(), "{len} bytes");
    }
}

#[tokio::test]
async fn a_server_without_ranges_starts_over() {
    let mut server = Behaviour::honest(noise(1, LEN));
    server.ranges = false;
    (server.cuts, server.cut_at) = (AtomicUsize::new(2), LEN / 2);
    let download = Download::from(server).await;
    std::fs::write(&download.part, &noise(1, LEN)[..LEN / 4]).unwrap();
    download.run().await.unwrap();
    assert!(download.is_right());
}

#[tokio::test]
async fn wrong_bytes_are_thrown_away() {
    let mut flipped = noise(1, LEN);
    flipped[LEN - 1] ^= 1;
    for content in [flipped, noise(1, LEN + 1), noise(2, LEN)] {
        let download = Download::from(Behaviour::honest(content)).await;
        let error = download.run().await.unwrap_err();
        assert!(matches!(error, RemoteError::WrongBytes { .. }), "{error}");
        assert!(download.left_nothing());
        // The same with a good beginning.
        std::fs::write(&download.part, &noise(1, LEN)[..LEN / 2]).unwrap();
        let error = download.run().await.unwrap_err();
        assert!(matches!(error, RemoteError::WrongBytes { .. }), "{error}");
        assert!(download.left_nothing());
    }
}

#[tokio::test]
async fn a_server_that_always_breaks_off_is_given_up_and_the_part_kept() {
    let mut server = Behaviour::honest(noise(1, LEN));
    (server.cuts, server.cut_at) = (AtomicUsize::new(usize::MAX), 0);
    let download = Download::from(server).await;
    std::fs::write(&download.part, &noise(1, LEN)[..1000]).unwrap();
    let error = download.run().await.unwrap_err();
    let RemoteError::Interrupted { done: 1000, .. } = &error else { panic!("{}", story(&error)) };
    assert!(error.is_outage() && error.to_string().contains("ask for the same file again"));
    assert_eq!(std::fs::read(&download.part).unwrap(), &noise(1, LEN)[..1000]);
    assert!(!download.to.exists());
}

#[tokio::test]
async fn an_empty_file_arrives() {
    let download = Download::from(Behaviour::honest(Vec::new())).await;
    let digest = Digest::of(b"");
    download.remote.download(&digest, 0, &download.to, false, &|_| {}).await.unwrap();
    assert_eq!(std::fs::read(&download.to).unwrap(), b"");
    assert!(!download.part.exists());
}

#[tokio::test]
async fn miss_outage_and_refusal_differ() {
    let answer = |status: StatusCode, body: &'static str| async move {
        let app = Router::new().fallback(move || async move { (status, body).into_response() });
        let remote = serve(app).await;
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("x");
        let blob = remote.download(&Digest::of(b"x"), 1, &to, true, &|_| {}).await.unwrap_err();
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
        (remote.build("abcdef01").await, blob)
    };
    let (build, blob) = answer(StatusCode::NOT_FOUND, "").await;
    assert!(build.unwrap().is_none());
    assert!(matches!(blob, RemoteError::Missing { .. }) && !blob.is_outage(), "{blob}");

    let (build, blob) = answer(StatusCode::SERVICE_UNAVAILABLE, "disk on fire").await;
    for error in [build.unwrap_err(), blob] {
        assert!(matches!(error, RemoteError::Server { status: 503, .. }), "{error}");
        assert!(error.is_outage() && error.to_string().contains("disk on fire"));
    }

    let (build, blob) = answer(StatusCode::BAD_REQUEST, r#"{"error":"too short"}"#).await;
    for error in [build.unwrap_err(), blob] {
        assert!(matches!(error, RemoteError::Refused { status: 400, .. }), "{error}");
        assert!(!error.is_outage() && error.to_string().contains(": too short"), "{error}");
    }

    let body = r#"{"error":"'abcdef01' is ambiguous","matches":["image:ab","input:cd"]}"#;
    let (build, _) = answer(StatusCode::CONFLICT, body).await;
    let error = build.unwrap_err();
    assert!(matches!(error, RemoteError::Ambiguous { .. }), "{error}");
    assert_eq!(error.to_string(), "'abcdef01' is ambiguous: image:ab, input:cd");

    for body in ["", "<html>", "{}", "null"] {
        let (build, _) = answer(StatusCode::OK, body).await;
        let error = build.unwrap_err();
        assert!(matches!(error, RemoteError::Answer { .. }), "{body}: {error}");
    }
}

#[tokio::test]
async fn a_dead_address_is_an_outage_and_quick() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let begin = Instant::now();
    let remote = Remote::new(&url, Timeouts::default()).unwrap();
    let error = remote.build("abcdef01").await.unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable { .. }) && error.is_outage(), "{error}");
    assert!(error.to_string().contains(&url), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(10));
    for url in ["", "host", "ftp://host", "/folder", "http://"] {
        let error = Remote::new(url, Timeouts::default()).unwrap_err();
        assert!(matches!(error, RemoteError::Url { .. }) && !error.is_outage(), "{error}");
    }
}

#[tokio::test]
async fn a_manifest_travels_and_a_forged_one_does_not() {
    let fixture = Fixture::new().await;
    let file = fixture.file("a", b"x");
    let manifest = fixture.store.add_build(draft(1, &[("image", &file)])).await.unwrap();
    let text = serde_json::to_string(&manifest).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let answer = |text: String| {
        let asked = asked.clone();
        let handler = move |Path(selector): Path<String>| async move {
            asked.lock().unwrap().push(selector);
            text
        };
        serve(Router::new().route("/v1/builds/{selector}", get(handler)))
    };
    let remote = answer(text.clone()).await;
    assert_eq!(remote.build("image:ab/../?#c d").await.unwrap(), Some(manifest));
    assert_eq!(*asked.lock().unwrap(), ["image:ab/../?#c d"]);
    let forged = answer(text.replace("x86_64", "arm64")).await;
    let error = forged.build("abcdef01").await.unwrap_err();
    assert!(error.to_string().contains("another key"), "{error}");
    let newer = answer(text.replace("\"format\":3", "\"format\":9")).await;
    let error = newer.build("abcdef01").await.unwrap_err();
    assert!(error.to_string().contains("format 9"), "{error}");
}

/// A server reads all files of a build before it answers: from a slow bucket that takes longer than
/// the pauses that a download may have.
#[tokio::test]
async fn a_push_waits_while_the_server_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bzImage");
    std::fs::write(&path, b"an image").unwrap();
    let build = async || {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let build = kiln_cache::InputKey(Digest::of(b"a build"));
        axum::Json(kiln_cache::remote::PushAnswer { build, files: Vec::new() })
    };
    let app = Router::new()
        .route("/v1/blobs/{digest}", get(|| async { "an image" }))
        .route("/v1/builds", axum::routing::post(build));
    let remote = serve(app).await;
    let timeouts = Timeouts { idle: Duration::from_secs(1), ..Timeouts::default() };
    let remote = Remote::new(remote.url(), timeouts).unwrap();
    let pushed = remote.push(&[("bzImage".into(), path)], None, &|_| {}).await.unwrap();
    assert_eq!(pushed.0, kiln_cache::InputKey(Digest::of(b"a build")));
}
