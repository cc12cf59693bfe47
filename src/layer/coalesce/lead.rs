//! The work of a request that leads.

use std::future::Future;
use std::panic;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tokio::time::timeout;
use tower_service::Service;

use super::answer::{Rules, Sharing, is_failure};
use super::body::SharedBody;
use super::ready::Ready;
use super::setup::Full;
use super::stored::{Limits, Stop, Stored, store};
use crate::flight;
use crate::layer::box_error::BoxError;
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
    // An overloaded service must not be called by all requests at once because its error page is long or slow.
    let unshared = if is_failure(answer.status()) { End::Failed } else { End::Value(None) };
    match rules.judge(&answer) {
        Sharing::Shared => match store(answer, limits).await {
            Stop::Stored(stored) => {
                let stored = Arc::new(stored);
                (Ok(stored.response()), End::Value(Some(stored)))
            }
            Stop::Passed(answer) => (Ok(answer), unshared),
            Stop::Broken(answer) => (Ok(answer), End::Failed),
        },
        Sharing::Alone | Sharing::Failed => (Ok(answer.map(SharedBody::passed)), unshared),
    }
}

/// Does the work in the caller. If that is dropped, the work is dropped before the lead: what the work keeps, a place in
/// a limit, is free before another request calls the service.
pub(super) async fn attached<K, R, E>(
    leader: Leader<K>,
    work: impl Future<Output = (Answer<R, E>, End)>,
) -> Answer<R, E> {
    let (answer, how) = work.await;
    end(leader, how);
    answer
}

/// Does the work in a task of its own, which goes on if the caller is dropped, until `limit` is over.
pub(super) async fn detached<K, R, E>(
    leader: Leader<K>,
    work: impl Future<Output = (Answer<R, E>, End)> + Send + 'static,
    limit: Duration,
) -> Answer<R, E>
where
    K: Send + Sync + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    let task = async move {
        // Here too the work is dropped before the lead: when the limit is over, and when the runtime shuts down.
        match timeout(limit, work).await {
            Ok((answer, how)) => {
                end(leader, how);
                answer
            }
            Err(_) => {
                drop(leader);
                Ok(refusal(too_slow()))
            }
        }
    };
    #[cfg(feature = "tracing")]
    let task = tracing::Instrument::in_current_span(task);
    match tokio::spawn(task).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => panic::resume_unwind(panic),
            Err(_) => Ok(refusal(Problem::shutting_down())),
        },
    }
}

fn end<K>(leader: Leader<K>, end: End) {
    match end {
        End::Value(value) => drop(leader.finish(value)),
        End::Failed => drop(leader),
    }
}

/// All requests that lead are GETs, so a client may send one again.
fn too_slow() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE)
        .with_detail("the service did not answer in time")
        .with_retry_after(Duration::from_secs(1))
}

fn refusal<R>(problem: Problem) -> Response<SharedBody<R>> {
    problem.response::<Bytes>().map(SharedBody::of)
}
