//! Connections: accepted until the service is told to stop, then finished.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 2048;

/// Bytes that a connection holds for a client that does not take them.
const HELD: usize = 64 << 10;

/// How long a client may take to say what it wants.
const HEADERS: Duration = Duration::from_secs(30);

/// How long answers may go on after the service was told to stop.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

/// The pause after a connection could not be accepted (no file descriptor is free).
const BREATH: Duration = Duration::from_millis(100);

/// Serves until `stop`, then lets answers that are under way come to their end.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(HELD);
    let graceful = GracefulShutdown::new();
    let places = std::sync::Arc::new(Semaphore::new(CONNECTIONS));
    let mut stop = pin!(stop);
    loop {
        let accepting = async {
            // The semaphore is never closed.
            let place = std::sync::Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepting => accepted,
            () = &mut stop => break,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        // An answer is more than one write; without it, the last waits for the client's word.
        let _slower_without = socket.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(socket), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // Clients go away as they like.
            let _ended = connection.await;
            drop(place);
        });
    }
    // New clients are refused at once, and go elsewhere.
    drop(listener);
    if tokio::time::timeout(LAST_ANSWERS, graceful.shutdown()).await.is_err() {
        tracing::warn!("some answers were cut off: they took longer than {LAST_ANSWERS:?}");
    }
}
