//! The server around the routes.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long a server that stops waits for what is under way.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

pub(crate) struct Server {
    pub(crate) url: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Serves on the loopback interface; port 0 is any free one.
    pub(crate) async fn start(routes: Router, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(listener, routes).with_graceful_shutdown(async { _ = stopped.await });
        Ok(Self { url, stop, task: tokio::spawn(server.into_future()) })
    }

    /// Accepts no more requests, and waits for those that are under way.
    pub(crate) async fn stop(mut self) {
        self.stop.send(()).ok();
        // A client that never finishes its request can keep its connection open, but not the server.
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}
