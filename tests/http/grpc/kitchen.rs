//! A service of tonic's that is written by hand, and its client: messages are bare texts.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Bytes;
use axum::http::uri::PathAndQuery;
use futures::stream;
use http::{Request, Response};
use http_body::Body as HttpBody;
use latchwork::layer::{Header, KeyedLockLayer, header};
use latchwork::web::Problem;
use latchwork::{KeyedLock, Stamp, TimedOut, VersionedMap};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService};
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Status, Streaming};
use tower::{Layer, Service, service_fn};

use crate::served::server::Stage;

pub(crate) type Locks = Arc<KeyedLock<u64>>;
pub(crate) type ByUser = KeyedLockLayer<u64, Header>;

/// A lock for each user, whose number is in the metadata.
pub(crate) fn by_user(locks: &Locks) -> ByUser {
    KeyedLockLayer::new(locks.clone(), header("x-user"))
}

/// Messages that are texts.
#[derive(Clone, Copy)]
pub(crate) struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(buffer, text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let length = bytes::Buf::remaining(buffer);
        let bytes = bytes::Buf::copy_to_bytes(buffer, length);
        String::from_utf8(bytes.into()).map(Some).map_err(|_| Status::internal("no text"))
    }
}

/// As the guide `problems` advises.
fn status(problem: impl Into<Problem>) -> Status {
    Status::from_header_map(&problem.into().grpc_headers()).expect("it has a status")
}

/// What a handler refuses by itself.
fn taste(cook: &str) -> Result<(), Status> {
    let cards = VersionedMap::<u8, &str>::new();
    match cook {
        "stale" => cards
            .insert_new(7, cook)
            .and_then(|_| cards.update(&7, Stamp::MAX, |_| cook))
            .map(drop)
            .map_err(status),
        "late" => Err(status(TimedOut::new())),
        _ => Ok(()),
    }
}

/// `Cook` answers with what its stage was asked to play, unless it does not taste. `Courses` streams each word, and stops before each for the stage.
#[derive(Clone)]
pub(crate) struct Kitchen(pub(crate) Stage);

impl NamedService for Kitchen {
    const NAME: &'static str = "test.Kitchen";
}

impl Service<Request<Body>> for Kitchen {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self(stage) = self.clone();
        let streams = request.uri().path().ends_with("/Courses");
        Box::pin(async move {
            if streams {
                let courses = service_fn(move |request: tonic::Request<String>| {
                    let stage = stage.clone();
                    async move {
                        let words: Vec<_> = request.into_inner().split(' ').map(str::to_owned).collect();
                        let played = move |word| {
                            let stage = stage.clone();
                            async move { Ok(stage.play(word).await) }
                        };
                        Ok::<_, Status>(tonic::Response::new(futures::StreamExt::then(
                            stream::iter(words),
                            played,
                        )))
                    }
                });
                return Ok(Grpc::new(Text).server_streaming(courses, request).await);
            }
            let cook = service_fn(move |request: tonic::Request<String>| {
                let stage = stage.clone();
                async move {
                    taste(request.get_ref())?;
                    Ok::<_, Status>(tonic::Response::new(stage.play(request.into_inner()).await))
                }
            });
            Ok(Grpc::new(Text).unary(cook, request).await)
        })
    }
}

/// Serves the kitchen behind a layer, until the runtime ends.
pub(crate) async fn serve<L, R>(stage: &Stage, layer: L) -> SocketAddr
where
    L: Layer<Routes> + Clone + Send + 'static,
    L::Service: Service<
            Request<Body>,
            Response = Response<R>,
            Error: Into<Box<dyn Error + Send + Sync>> + Send,
            Future: Send,
        > + Clone
        + Send
        + 'static,
    R: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = Server::builder().layer(layer).add_service(Kitchen(stage.clone()));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    addr
}

/// A client with a connection of its own.
#[derive(Clone)]
pub(crate) struct Guest(tonic::client::Grpc<Channel>);

impl Guest {
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        let channel = Channel::from_shared(format!("http://{addr}")).unwrap().connect().await.unwrap();
        Self(tonic::client::Grpc::new(channel))
    }

    pub(crate) async fn cook(&mut self, user: &str, what: &str) -> Result<String, Status> {
        let Self(client) = self;
        client.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Kitchen/Cook");
        Ok(client.unary(request(user, what), path, Text).await?.into_inner())
    }

    pub(crate) async fn courses(&mut self, user: &str, what: &str) -> Result<Streaming<String>, Status> {
        let Self(client) = self;
        client.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Kitchen/Courses");
        Ok(client.server_streaming(request(user, what), path, Text).await?.into_inner())
    }
}

/// Without a user if that is empty.
fn request(user: &str, what: &str) -> tonic::Request<String> {
    let mut request = tonic::Request::new(what.to_owned());
    if !user.is_empty() {
        request.metadata_mut().insert("x-user", user.parse().unwrap());
    }
    request
}
