//! [`Leading`]: the work of a request that leads.

use std::future::Future;
use std::panic;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::answer::{Rules, Sharing};
use super::body::{BoxError, SharedBody};
use super::ready::Ready;
use super::setup::Full;
use super::stored::{Limits, Stop, Stored, store};
use crate::flight;
use crate::web::Problem;

pub(super) type Leader<K> = flight::Leader<Full<K>, Option<Arc<Stored>>>;

/// What the leader gets.
pub(super) type Answer<R, E> = Result<Response<SharedBody<R>>, E>;

/// How the flight ends.
pub(super) enum End {
    /// All requests that joined get this answer. If it is `None`, they call the service themselves.
    Value(Option<Arc<Stored>>),
    /// One of the requests that joined leads.
    Failed,
}

/// The call of the service and the reading of its answer. It does not know its leader, so another leader can go on
/// with it.
pub(super) type Work<R, E> = Pin<Box<dyn Future<Output = (Answer<R, E>, End)> + Send>>;

/// Calls the service, and reads an answer that may be shared.
pub(super) async fn work<T, B, R>(
    service: Ready<T>,
    request: Request<B>,
    rules: Rules,
    limits: Limits,
) -> (Answer<R, T::Error>, End)
where
    T: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let answer = match service.call(request).await {
        Ok(answer) => answer,
        Err(error) => return (Err(error), End::Failed),
    };
    match rules.judge(&answer) {
        Sharing::Shared => match store(answer, limits).await {
            Stop::Stored(stored) => {
                let stored = Arc::new(stored);
                (Ok(stored.response()), End::Value(Some(stored)))
            }
            Stop::Passed(answer) => (Ok(answer), End::Value(None)),
            Stop::Broken(answer) => (Ok(answer), End::Failed),
        },
        Sharing::Alone => (Ok(answer.map(SharedBody::passed)), End::Value(None)),
        Sharing::Failed => (Ok(answer.map(SharedBody::passed)), End::Failed),
    }
}

fn end<K>(leader: Leader<K>, end: End) {
    match end {
        End::Value(value) => drop(leader.finish(value)),
        End::Failed => drop(leader),
    }
}

/// The lead, and the work for it. If it is dropped, the next leader goes on with the work.
pub(super) struct Leading<K, R: 'static, E: 'static> {
    leader: Option<Leader<K>>,
    work: Option<Work<R, E>>,
}

impl<K, R, E> Leading<K, R, E> {
    pub(super) fn new(leader: Leader<K>, work: Work<R, E>) -> Self {
        Self { leader: Some(leader), work: Some(work) }
    }
}

impl<K, R, E> Future for Leading<K, R, E> {
    type Output = Answer<R, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Work that panics is not put back, so no leader goes on with it.
        let mut work = self.work.take().expect("it is not polled again after it was ready or has panicked");
        let Poll::Ready((answer, how)) = work.as_mut().poll(cx) else {
            self.work = Some(work);
            return Poll::Pending;
        };
        // What the work keeps, a place in a limit, is free before others call the service.
        drop(work);
        if let Some(leader) = self.leader.take() {
            end(leader, how);
        }
        Poll::Ready(answer)
    }
}

impl<K, R: 'static, E: 'static> Drop for Leading<K, R, E> {
    fn drop(&mut self) {
        if let (Some(leader), Some(work)) = (self.leader.take(), self.work.take()) {
            leader.hand_over(work);
        }
    }
}

/// Does the work in a task of its own, which goes on if the caller is dropped.
pub(super) async fn detached<K, R, E>(leader: Leader<K>, work: Work<R, E>) -> Answer<R, E>
where
    K: Send + Sync + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    let task = async move {
        // The work is dropped before the lead, also when the runtime shuts down.
        let (answer, how) = work.await;
        end(leader, how);
        answer
    };
    #[cfg(feature = "tracing")]
    let task = tracing::Instrument::in_current_span(task);
    match tokio::spawn(task).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => panic::resume_unwind(panic),
            Err(_) => Ok(Problem::shutting_down().response::<Bytes>().map(SharedBody::of)),
        },
    }
}
