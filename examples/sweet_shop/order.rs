//! The order of service: whether those who come first are served first.
//!
//! A request draws a number when it comes, and gives it back when it is served. Each request for the same sweet that has a
//! smaller number and is not served yet has been overtaken. Requests that are refused, or whose client hangs up, overtake
//! nobody.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::Extension;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::input::SweetId;

#[derive(Default)]
pub(crate) struct Order(Mutex<Queues>);

#[derive(Default)]
struct Queues {
    next: u64,
    /// By sweet and number: how often this request has been overtaken.
    waiting: HashMap<i64, BTreeMap<u64, u64>>,
    counts: OrderCounts,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct OrderCounts {
    pub(crate) served: u64,
    /// How many of these were overtaken.
    pub(crate) overtaken: u64,
    /// How often the unluckiest one was.
    pub(crate) most: u64,
}

impl Order {
    pub(crate) fn counts(&self) -> OrderCounts {
        self.with(|state| state.counts)
    }

    fn draw(self: &Arc<Self>, sweet: i64) -> Number {
        let number = self.with(|state| {
            state.next += 1;
            state.waiting.entry(sweet).or_default().insert(state.next, 0);
            state.next
        });
        Number { order: self.clone(), sweet, number }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Queues) -> T) -> T {
        f(&mut self.0.lock().expect("nothing panics while it is locked"))
    }
}

/// A place in the order of service, for as long as the request is there.
pub(crate) struct Number {
    order: Arc<Order>,
    sweet: i64,
    number: u64,
}

impl Number {
    fn serve(&self) {
        self.order.with(|state| {
            let Some(waiting) = state.waiting.get_mut(&self.sweet) else { return };
            let Some(overtaken) = waiting.remove(&self.number) else { return };
            state.counts.served += 1;
            state.counts.overtaken += u64::from(overtaken > 0);
            state.counts.most = state.counts.most.max(overtaken);
            for (_, overtaken) in waiting.range_mut(..self.number) {
                *overtaken += 1;
            }
        });
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.order.with(|state| {
            if let Some(waiting) = state.waiting.get_mut(&self.sweet) {
                waiting.remove(&self.number);
            }
        });
    }
}

/// Outside all locks: the request comes.
pub(crate) async fn come(
    State(order): State<Arc<Order>>,
    SweetId(sweet): SweetId,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(Arc::new(order.draw(sweet)));
    next.run(request).await
}

/// Inside all locks: the request is served.
pub(crate) async fn go(Extension(number): Extension<Arc<Number>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.status().is_success() {
        number.serve();
    }
    response
}
