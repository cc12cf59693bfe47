//! A proxy in front of the server, which holds the server's answers back, or cuts connections, when a test says so.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::select;
use tokio::sync::watch;

use crate::cluster;

/// What happens to the server's answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Valve {
    Open,
    /// They wait.
    Held,
    /// The connections are closed, and the answers are lost.
    Cut,
}

/// A proxy, for the connections that were made through it.
pub(crate) struct Proxy {
    port: u16,
    valve: watch::Sender<Valve>,
    /// Connections with a smaller number than this get no answers any more.
    stranded: watch::Sender<usize>,
    connections: Arc<AtomicUsize>,
    misspelled: watch::Sender<Option<&'static str>>,
    sent: watch::Receiver<String>,
    messages: Arc<AtomicUsize>,
}

impl Proxy {
    /// Starts a proxy on the current runtime.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (valve, valves) = watch::channel(Valve::Open);
        let (stranded, strandings) = watch::channel(0);
        let connections = Arc::new(AtomicUsize::new(0));
        let (misspelled, misspellings) = watch::channel(None);
        let (sents, sent) = watch::channel(String::new());
        let messages = Arc::new(AtomicUsize::new(0));
        let (seen, accepted) = (messages.clone(), connections.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = accepted.fetch_add(1, Ordering::SeqCst);
                client.set_nodelay(true).expect("it is a TCP connection");
                let server = connect(cluster::socket()).await;
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let (sents, seen, misspelled) = (sents.clone(), seen.clone(), misspellings.clone());
                tokio::spawn(questions(from_client, to_server, valves.clone(), misspelled, sents, seen));
                let strandings = strandings.clone();
                tokio::spawn(answers(from_server, to_client, valves.clone(), number, strandings));
            }
        });
        Self { port, valve, stranded, connections, misspelled, sent, messages }
    }

    pub(crate) fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new().host("127.0.0.1").port(self.port).username("tests").database(database)
    }

    /// Holds the server's answers back from now on.
    pub(crate) fn hold(&self) {
        self.valve.send_replace(Valve::Held);
    }

    /// Lets all answers go, also those that were held back.
    pub(crate) fn open(&self) {
        self.valve.send_replace(Valve::Open);
    }

    /// Closes all connections. Answers that were held back are lost.
    pub(crate) fn cut(&self) {
        self.valve.send_replace(Valve::Cut);
    }

    /// Holds the answers back for ever to the connections that there are now. New ones are whole.
    pub(crate) fn strand(&self) {
        self.stranded.send_replace(self.connections());
    }

    /// Returns how many connections there were so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Makes the server not understand this word from now on.
    pub(crate) fn misspell(&self, word: Option<&'static str>) {
        self.misspelled.send_replace(word);
    }

    /// Returns how many packets were sent to the server so far.
    pub(crate) fn messages(&self) -> usize {
        self.messages.load(Ordering::SeqCst)
    }

    /// Waits until the latest packet to the server has this text in it.
    pub(crate) async fn saw(&self, text: &str) {
        let mut sent = self.sent.clone();
        sent.wait_for(|sent| sent.contains(text)).await.expect("the proxy lives");
    }
}

async fn connect(folder: &Path) -> UnixStream {
    UnixStream::connect(folder.join(".s.PGSQL.5432")).await.expect("the server listens")
}

/// Forwards what the client sends.
async fn questions(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut valve: watch::Receiver<Valve>,
    misspelled: watch::Receiver<Option<&'static str>>,
    sent: watch::Sender<String>,
    messages: Arc<AtomicUsize>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = select! {
            _ = valve.wait_for(|valve| *valve == Valve::Cut) => return,
            read = from.read(&mut buffer) => read.unwrap_or(0),
        };
        if let Some(word) = *misspelled.borrow()
            && let Some(at) = buffer[..length].windows(word.len()).position(|seen| seen == word.as_bytes())
        {
            buffer[at] = b'x';
        }
        if length == 0 || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
        messages.fetch_add(1, Ordering::SeqCst);
        sent.send_replace(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
}

/// Forwards what the server answers, as the valve says.
async fn answers(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut valve: watch::Receiver<Valve>,
    number: usize,
    stranded: watch::Receiver<usize>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = select! {
            _ = valve.wait_for(|valve| *valve == Valve::Cut) => return,
            read = from.read(&mut buffer) => read.unwrap_or(0),
        };
        if number < *stranded.borrow() {
            // Not even the end of the connection is seen.
            let _ = valve.wait_for(|valve| *valve == Valve::Cut).await;
            return;
        }
        let is_open =
            valve.wait_for(|valve| *valve != Valve::Held).await.is_ok_and(|valve| *valve == Valve::Open);
        if length == 0 || !is_open || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
