//! [`Ready`]: a service on the way to its call.

use std::future::poll_fn;

use http::Request;
use tower_service::Service;

/// A service for one call.
pub(super) struct Ready<T> {
    service: T,
    is_ready: bool,
}

impl<T: Clone> Ready<T> {
    /// The service was polled ready.
    pub(super) fn new(service: T) -> Self {
        Self { service, is_ready: true }
    }

    /// Gives the readiness back, and with it a place in a limit. A clone becomes ready when it is called.
    pub(super) fn released(self) -> Self {
        let service = self.service.clone();
        Self { service, is_ready: false }
    }
}

impl<T> Ready<T> {
    pub(super) async fn call<B>(mut self, request: Request<B>) -> Result<T::Response, T::Error>
    where
        T: Service<Request<B>>,
    {
        if !self.is_ready {
            poll_fn(|cx| self.service.poll_ready(cx)).await?;
        }
        self.service.call(request).await
    }
}
