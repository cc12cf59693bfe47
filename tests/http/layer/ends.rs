//! How a request ends, for tests of what must follow in each case.

use axum::body::Body;
use axum::http::{Request, Response};
use tower::{Service, service_fn};

use super::service::Gate;

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum End {
    Answered,
    Failed,
    Panicked,
    PanickedWhenCalled,
    Dropped,
    Unpolled,
}

impl End {
    pub(super) const ALL: [Self; 6] = [
        Self::Answered,
        Self::Failed,
        Self::Panicked,
        Self::PanickedWhenCalled,
        Self::Dropped,
        Self::Unpolled,
    ];

    /// A service that ends its requests so when its gate lets it.
    pub(super) fn service(
        self,
        gate: &Gate,
    ) -> impl Service<Request<Body>, Response = Response<Body>, Error = &'static str, Future: Send + 'static>
    + Clone
    + Send
    + 'static {
        let gate = gate.clone();
        service_fn(move |_: Request<Body>| {
            assert_ne!(self, Self::PanickedWhenCalled, "asked for");
            let gate = gate.clone();
            async move {
                gate.pass().await;
                assert_ne!(self, Self::Panicked, "asked for");
                if self == Self::Failed { Err("asked for") } else { Ok(Response::new(Body::empty())) }
            }
        })
    }
}
