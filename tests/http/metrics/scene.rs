//! Locks, retries, a budget, flights and layers, used in every way that is counted.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Request, Response};
use latchwork::publish::{BUCKETS, Publisher};
use latchwork::{
    KeyedLock, KeyedSemaphore, RetryPolicy, SingleFlight,
    flight::Role,
    retry::{Budget, RetryStats, VirtualClock},
    verdict::{RetryKind, Verdict},
};
use latchwork::{
    layer::{CoalesceLayer, KeyedLockLayer, LayerStats, Mode, ModeSwitch, RequestKey},
    web::Problem,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use tower::{Layer, ServiceExt, service_fn};

use super::sales::Sales;
use crate::support::Hand;

/// With buckets for the times.
pub(crate) fn recorder() -> PrometheusRecorder {
    let seconds = Matcher::Prefix("latchwork_".to_owned());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(seconds, BUCKETS);
    builder.expect("there are buckets").build_recorder()
}

/// What is used and watched.
pub(crate) struct Scene {
    pub(crate) users: Arc<KeyedLock<String>>,
    pub(crate) seats: Arc<KeyedSemaphore<u32>>,
    pub(crate) saves: Arc<RetryStats>,
    pub(crate) loads: Arc<RetryStats>,
    budget: Arc<Budget>,
    pub(crate) menus: SingleFlight<String, u32>,
    pub(crate) pages: CoalesceLayer<String, ByPath>,
    plans: Plans,
    _sales: Sales,
    pub(crate) publisher: Publisher,
}

/// A layer around a service that does nothing.
pub(crate) struct Plans {
    pub(crate) locks: Arc<KeyedLock<String>>,
    pub(crate) layer: KeyedLockLayer<String, ByPath>,
    pub(crate) mode: ModeSwitch,
}

/// Each path is a key, but `/` is about none, and one can't be told.
#[derive(Clone)]
pub(crate) struct ByPath;

impl RequestKey<String> for ByPath {
    fn key(&self, parts: &mut Parts) -> Result<Option<String>, Problem> {
        match parts.uri.path() {
            "/" => Ok(None),
            "/%FF" => Err(Problem::bad_key("the path is not UTF-8")),
            path => Ok(Some(path.to_owned())),
        }
    }
}

impl Plans {
    pub(crate) fn new() -> Self {
        let (locks, mode) = (Arc::new(KeyedLock::new()), ModeSwitch::default());
        Self { layer: KeyedLockLayer::new(locks.clone(), ByPath).name("plans").mode(&mode), locks, mode }
    }

    pub(crate) fn ask(&self, path: &str) -> u16 {
        let service = self
            .layer
            .layer(service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty()))));
        let request = Request::post(path).body(Body::empty()).expect("it is a request");
        let answer = futures::executor::block_on(service.oneshot(request));
        answer.expect("it can't fail").status().as_u16()
    }
}

impl Scene {
    /// To be made where the recorder is.
    pub(crate) fn new() -> Self {
        let users = Arc::new(KeyedLock::builder().name("users").publish_times().build());
        let seats = Arc::new(KeyedLock::builder().name("seats").publish_times().build_semaphore(2));
        let (saves, loads) = <(Arc<RetryStats>, Arc<RetryStats>)>::default();
        let budget =
            Arc::new(Budget::new(40).earnings(0).price(RetryKind::Transient, 5).refill_per_second(0));
        let (menus, pages) =
            (SingleFlight::default().named("menus"), CoalesceLayer::new(ByPath).name("pages"));
        let (plans, sales) = (Plans::new(), Sales::new());
        let publisher = Publisher::new()
            .keyed_lock(&users)
            .keyed_semaphore(&seats)
            .retry_policy(&RetryPolicy::new().name("save card").stats(&saves))
            .retry_stats("load card", &loads)
            .budget("database", &budget)
            .single_flight(&menus)
            .coalesce_layer(&pages)
            .keyed_lock_layer(&plans.layer)
            .scope(&sales.scope);
        Self { users, seats, saves, loads, budget, menus, pages, plans, _sales: sales, publisher }
    }

    pub(crate) fn work(&self) {
        self.lock();
        self.retry();
        self.serve();
        self.fly();
    }

    pub(crate) fn layer_stats(&self) -> LayerStats {
        self.plans.layer.stats()
    }

    /// Requests in each mode, to a key that is free, one that is held, none, and one that can't be told.
    fn serve(&self) {
        let _held = self.plans.locks.try_lock("/ada@example.com");
        for (mode, statuses) in [
            (Mode::Off, [200, 200, 200, 200]),
            (Mode::Observe, [200, 200, 200, 200]),
            (Mode::Enforce, [200, 409, 200, 400]),
        ] {
            self.plans.mode.set(mode);
            let paths = ["/grace@example.com", "/ada@example.com", "/", "/%FF"];
            assert_eq!(paths.map(|path| self.plans.ask(path)), statuses, "{mode:?}");
        }
    }

    /// Work that is done, joined and not done; and two requests of which one joins.
    fn fly(&self) {
        assert!(self.menus.run_blocking("monday", || 7).led);
        let Role::Leader(leader) = self.menus.join("monday").wait() else { panic!("nobody is at it") };
        let mut joined = [(); 3].map(|()| Hand::queued(self.menus.join("monday")));
        leader.finish(8);
        assert!(joined.iter_mut().all(|joined| matches!(joined.poll(), Some(Role::Joined(8)))));
        assert!(self.menus.try_run_blocking("sunday", || Err("closed")).is_err());

        let ask = || {
            let service = self.pages.layer(service_fn(async |_: Request<Body>| {
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }));
            service.oneshot(Request::get("/menu").body(Body::empty()).expect("it is a request"))
        };
        let (one, two) = futures::executor::block_on(async { futures::join!(ask(), ask()) });
        assert!(one.is_ok() && two.is_ok());
    }

    fn lock(&self) {
        std::thread::scope(|s| {
            for thread in 0..4 {
                s.spawn(move || {
                    for round in 0..200 {
                        let user = format!("user-{}@example.com", (thread + round) % 3);
                        drop(self.users.lock(user).wait());
                        drop(self.seats.acquire(round % 2).wait());
                    }
                });
            }
        });
        let guard = self.users.lock("ada").wait();
        let mut waiters = [(); 3].map(|()| Hand::queued(self.users.lock("ada")));
        assert!(self.users.try_lock("ada").is_err());
        assert!(self.users.lock("ada").wait_timeout(Duration::ZERO).is_err());
        drop(Hand::queued(self.users.lock("ada")));
        drop(guard);
        for waiter in &mut waiters {
            drop(waiter.poll_while_woken().expect("it was told"));
        }
        let two = self.seats.acquire_many(1, 2).wait();
        assert!(self.seats.try_acquire(1).is_err());
        drop(Hand::queued(self.seats.acquire(1)));
        drop(two);
    }

    /// Each kind of error, and each end that a call can have.
    fn retry(&self) {
        type ByKind = fn(&Option<RetryKind>) -> Verdict;
        let by_kind: ByKind = |kind| kind.map_or(Verdict::Stop, Verdict::Retry);
        let policy = || RetryPolicy::new().clock(VirtualClock::new()).stats(&self.saves);
        let plain = policy().classify_with(by_kind);
        for &kind in RetryKind::ALL {
            let call =
                plain.run_blocking(|attempt| if attempt.is_first() { Err(Some(kind)) } else { Ok(()) });
            assert_eq!(call.is_ok(), kind != RetryKind::UniqueViolation);
        }
        assert!(plain.run_blocking(|_| Ok::<_, Option<RetryKind>>(())).is_ok());
        assert!(plain.run_blocking(|_| Err::<(), _>(None)).is_err());
        assert!(plain.run_blocking(|_| Err::<(), _>(Some(RetryKind::Deadlock))).is_err());
        drop(plain.session());
        let hasty = policy().deadline(Duration::ZERO).classify_with(by_kind);
        assert!(hasty.run_blocking(|_| Err::<(), _>(Some(RetryKind::Transient))).is_err());
        let poor = policy().max_attempts(20).budget(&self.budget).classify_with(by_kind);
        assert!(poor.run_blocking(|_| Err::<(), _>(Some(RetryKind::Transient))).is_err());
        let late = |_: &()| Verdict::RetryAfter(RetryKind::Throttled, Duration::from_secs(3600));
        assert!(policy().classify_with(late).run_blocking(|_| Err::<(), _>(())).is_err());
        let _in_the_way = self.users.lock("grace").wait();
        for stored in [Ok(()), Err(None)] {
            let change = plain.retry_on_conflict_blocking(|_| Ok(()), Ok, |()| stored);
            let change =
                change.escalate_after(1, &self.users, "grace".to_owned()).lock_timeout(Duration::ZERO);
            assert_eq!(change.run_blocking().is_ok(), stored.is_ok());
        }
    }
}
