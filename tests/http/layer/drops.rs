//! Calls that are dropped after every number of polls that they can have had.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use latchwork::layer::Mode;
use tower::service_fn;

use super::service::{around, call, layer, locks, post};
use crate::support::Hand;

/// Pends once, and is woken for it.
pub(crate) async fn stop() {
    let mut stopped = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut stopped, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A body that stops before each of its two parts, and keeps something until it is through.
pub(crate) fn slow_soup<T: Send + 'static>(kept: T) -> Body {
    let parts = stream::unfold((["so", "up"].into_iter(), kept), async |(mut parts, kept)| {
        let part = parts.next()?;
        stop().await;
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(part.as_bytes()))), (parts, kept)))
    });
    Body::new(StreamBody::new(parts))
}

/// One who is dropped after so many polls: at once, or when the next would be due.
struct Guest<F: Future> {
    call: Option<Hand<F>>,
    polls_left: usize,
}

/// Polls each when it is woken, as an executor would, in turn, for as long as anybody is; lets `others` run in
/// between. Whoever was not dropped is through then, with the soup.
pub(crate) async fn serve<F>(
    calls: [F; 3],
    polls: [usize; 3],
    drops_late: bool,
    others: impl AsyncFn() -> bool,
) where
    F: Future<Output = Bytes>,
{
    let mut guests = calls.map(|call| Guest { call: Some(Hand::new(call)), polls_left: 0 });
    for (guest, polls) in guests.iter_mut().zip(polls) {
        guest.polls_left = polls;
    }
    let mut is_first = true;
    loop {
        let mut is_busy = false;
        for guest in &mut guests {
            let Some(call) = &mut guest.call else { continue };
            if guest.polls_left == 0 && (!drops_late || is_first || call.is_woken()) {
                (guest.call, is_busy) = (None, true);
            } else if is_first || call.is_woken() {
                guest.polls_left -= 1;
                is_busy = true;
                if let Some(soup) = call.poll() {
                    assert_eq!(soup, "soup");
                    guest.call = None;
                }
            }
        }
        is_first = false;
        if !others().await && !is_busy {
            break;
        }
    }
    for (guest, polls) in guests.iter().zip(polls) {
        assert!(guest.call.is_none() || polls < usize::MAX, "one was left waiting: {polls:?}");
    }
}

/// All that three guests can have had of polls, up to `most` or as many as they want.
pub(crate) fn polls(most: usize) -> impl Iterator<Item = [usize; 3]> {
    let each = move || (0..=most).chain([usize::MAX]);
    each().flat_map(move |one| each().flat_map(move |two| each().map(move |three| [one, two, three])))
}

/// Counts who is inside.
struct Inside(Arc<AtomicUsize>);

impl Inside {
    fn enter(count: &Arc<AtomicUsize>) -> Self {
        assert_eq!(count.fetch_add(1, Ordering::SeqCst), 0, "two are in one key");
        Self(count.clone())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_dropped_whenever_leaves_no_key_and_no_two_in_it() {
    let setups = [
        (false, false, Mode::Enforce),
        (false, true, Mode::Enforce),
        (true, false, Mode::Enforce),
        (true, true, Mode::Enforce),
        (false, false, Mode::Observe),
        (false, true, Mode::Observe),
    ];
    for (detached, to_body_end, mode) in setups {
        let (locks, inside) = (locks(), Arc::new(AtomicUsize::new(0)));
        let layer = layer(&locks)
            .wait(Duration::from_secs(3600))
            .detached(detached)
            .hold_until_body_end(to_body_end)
            .mode(mode);
        let inner = {
            let inside = inside.clone();
            service_fn(move |_: Request<Body>| {
                let here = (mode == Mode::Enforce).then(|| Inside::enter(&inside));
                async move {
                    stop().await;
                    stop().await;
                    let kept = here.filter(|_| to_body_end);
                    Ok::<_, Infallible>(Response::new(slow_soup(kept)))
                }
            })
        };
        let mut service = around(&layer, inner);
        for polls in polls(6) {
            for drops_late in [false, true] {
                let calls = [(); 3].map(|()| {
                    let call = call(&mut service, post("/ada"));
                    async move {
                        let Ok(answer) = call.await;
                        answer.into_body().collect().await.unwrap().to_bytes()
                    }
                });
                let held = || locks.snapshot().iter().any(|key| key.holders() > 0);
                let others = async || {
                    tokio::task::yield_now().await;
                    detached && held()
                };
                serve(calls, polls, drops_late, others).await;
                assert!(locks.is_empty(), "{polls:?}, {drops_late}, {detached}, {to_body_end}, {mode:?}");
                assert_eq!(inside.load(Ordering::SeqCst), 0);
            }
        }
    }
}
