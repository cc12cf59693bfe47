//! Clients: a bare HTTP/1.1 connection whose every byte is the test's, and HTTP/2 streams.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinHandle};

/// What a server said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    content_type: Option<String>,
    retry_after: Option<String>,
    pub(crate) body: String,
}

impl Answer {
    /// Whether it is a problem with this status, which says when to come back.
    pub(crate) fn refuses_with(&self, status: u16) -> bool {
        self.status == status
            && self.retry_after.as_deref() == Some("1")
            && self.content_type.as_deref() == Some("application/problem+json")
    }
}

/// The head of an answer.
pub(crate) struct Head {
    pub(crate) status: u16,
    content_type: Option<String>,
    retry_after: Option<String>,
    /// `None`: it comes in chunks.
    length: Option<usize>,
}

/// An HTTP/1.1 connection. Dropping it hangs up.
pub(crate) struct Line(BufReader<TcpStream>);

impl Line {
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(addr).await.unwrap()))
    }

    /// A new connection on which this was asked.
    pub(crate) async fn asking(addr: SocketAddr, method: &str, path: &str) -> Self {
        let mut line = Self::open(addr).await;
        line.ask(&[(method, path)]).await;
        line
    }

    /// Writes all requests at once.
    pub(crate) async fn ask(&mut self, requests: &[(&str, &str)]) {
        let text: String = requests
            .iter()
            .map(|(method, path)| {
                format!("{method} {path} HTTP/1.1\r\nhost: here\r\ncontent-length: 0\r\n\r\n")
            })
            .collect();
        self.write(&text).await;
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next answer; an error if the server hung up instead.
    pub(crate) async fn answer(&mut self) -> io::Result<Answer> {
        let head = self.head().await?;
        let mut body = Vec::new();
        match head.length {
            Some(length) => {
                body.resize(length, 0);
                self.0.read_exact(&mut body).await?;
            }
            None => {
                while let Some(chunk) = self.chunk().await? {
                    body.extend(chunk);
                }
            }
        }
        let body = String::from_utf8(body).unwrap();
        let Head { status, content_type, retry_after, .. } = head;
        Ok(Answer { status, content_type, retry_after, body })
    }

    /// The head of the next answer, whose chunks are to be read next.
    pub(crate) async fn head(&mut self) -> io::Result<Head> {
        let status = self.text().await?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let mut head = Head { status, content_type: None, retry_after: None, length: None };
        loop {
            let field = self.text().await?;
            match field.split_once(": ") {
                Some(("content-type", media)) => head.content_type = Some(media.to_owned()),
                Some(("retry-after", seconds)) => head.retry_after = Some(seconds.to_owned()),
                Some(("content-length", length)) => head.length = Some(length.parse().unwrap()),
                Some(_) => {}
                None => return Ok(head),
            }
        }
    }

    /// The next chunk of a body; `None` if it is at its end.
    pub(crate) async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let length = usize::from_str_radix(&self.text().await?, 16).unwrap();
        let mut chunk = vec![0; length];
        self.0.read_exact(&mut chunk).await?;
        self.text().await?;
        Ok((length > 0).then_some(chunk))
    }

    /// The first line of the next answer, and its headers as they stand there. The body is to be read next.
    pub(crate) async fn fields(&mut self) -> io::Result<(String, Vec<(String, String)>)> {
        let first = self.text().await?;
        let mut fields = Vec::new();
        while let Some((name, value)) = self.text().await?.split_once(": ") {
            fields.push((name.to_owned(), value.to_owned()));
        }
        Ok((first, fields))
    }

    /// This number of bytes.
    pub(crate) async fn read(&mut self, count: usize) -> io::Result<String> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).await?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    async fn text(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}

/// One request on a connection of its own.
pub(crate) async fn ask(addr: SocketAddr, method: &str, path: &str) -> Answer {
    Line::asking(addr, method, path).await.answer().await.unwrap()
}

/// A request that is under way.
pub(crate) fn asked(addr: SocketAddr, method: &'static str, path: &'static str) -> JoinHandle<Answer> {
    tokio::spawn(ask(addr, method, path))
}

/// An HTTP/2 connection.
pub(crate) struct Trunk {
    sender: SendRequest<Body>,
    tasks: Tasks,
}

impl Trunk {
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        let stream = TokioIo::new(TcpStream::connect(addr).await.unwrap());
        let tasks = Tasks::default();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(tasks.clone(), stream).await.unwrap();
        tasks.execute(connection);
        Self { sender, tasks }
    }

    /// A stream of its own. Aborting the task resets it.
    pub(crate) fn asked(&self, method: Method, path: &str) -> JoinHandle<hyper::Result<Answer>> {
        self.sent(method, path, Body::empty())
    }

    /// As [`asked`](Self::asked), with a body.
    pub(crate) fn sent(&self, method: Method, path: &str, body: Body) -> JoinHandle<hyper::Result<Answer>> {
        let mut sender = self.sender.clone();
        let request = Request::builder().method(method).uri(format!("http://here{path}")).body(body);
        tokio::spawn(async move {
            sender.ready().await?;
            let response = sender.send_request(request.unwrap()).await?;
            let (head, body) = response.into_parts();
            let field = |name| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            let (content_type, retry_after) = (field("content-type"), field("retry-after"));
            let body = String::from_utf8(body.collect().await?.to_bytes().into()).unwrap();
            Ok(Answer { status: head.status.as_u16(), content_type, retry_after, body })
        })
    }

    /// The answer to a request with these headers and without a body.
    pub(crate) async fn response(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Response<Incoming> {
        let request = Request::builder().method(method).uri(format!("http://here{path}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let mut sender = self.sender.clone();
        sender.ready().await.unwrap();
        sender.send_request(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    /// Hangs up, whatever streams there are.
    pub(crate) fn hang_up(self) {
        for task in self.tasks.0.lock().unwrap().drain(..) {
            task.abort();
        }
    }
}

/// The tasks of a connection, which end when they are told to.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<Vec<AbortHandle>>>);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let task = tokio::spawn(task);
        self.0.lock().unwrap().push(task.abort_handle());
    }
}
