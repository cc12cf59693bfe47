//! The service: what the handlers share, and which handlers and layers each way has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use latchwork::keyed::Timing;
use latchwork::sql::Scope;
use latchwork::web::Problem;
use latchwork::{KeyedLock, extract::path_param, layer::KeyedLockLayer};
use serde::Serialize;

use super::error::ShopError;
use super::policies::Policies;
use super::store::{Store, Sweet, sell};
use super::{Db, Place, atomic, auth, for_update, naive, optimistic, register};
use crate::body::MAX_BODY;
use crate::compare::{Failure, Figures, Life, Shop};
use crate::elsewhere::price_today;
use crate::input::{Search, SweetId};
use crate::order::{self, Order};
use crate::server::GRACE;
use crate::waits::Waits;
use crate::way::Way;

/// How long a request waits for its lock, and a statement for a row.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct App {
    pub(crate) store: Store,
    /// Transactions that read before they write.
    pub(crate) scope: Scope<Db>,
    pub(crate) policies: Policies,
    /// By sweet.
    pub(crate) locks: Arc<KeyedLock<String>>,
    pub(crate) waits: Arc<Waits>,
    order: Arc<Order>,
    way: Way,
    name: &'static str,
    life: Life,
}

#[derive(Serialize)]
pub(crate) struct Receipt {
    pub(crate) sweet: i64,
    pub(crate) quantity: i64,
    pub(crate) cents: i64,
    pub(crate) left: i64,
}

#[derive(Serialize)]
pub(crate) struct Delivery {
    pub(crate) sweet: i64,
    pub(crate) quantity: i64,
    pub(crate) stock: i64,
}

impl App {
    /// Returns what a purchase costs. Purchases that can't succeed are refused before another service is asked.
    pub(crate) async fn quote(&self, id: i64, quantity: i64) -> Result<i64, ShopError> {
        let sweet = self.store.sweet(id).await?;
        sell(sweet.stock, quantity)?;
        Ok(quantity * price_today(sweet.price_cents).await)
    }
}

async fn search(State(app): State<Arc<App>>, search: Search) -> Result<Json<Vec<Sweet>>, ShopError> {
    Ok(Json(app.store.search(&search).await?))
}

async fn sweet(State(app): State<Arc<App>>, SweetId(id): SweetId) -> Result<Json<Sweet>, ShopError> {
    Ok(Json(app.store.sweet(id).await?))
}

impl Shop for Arc<App> {
    type Place = Place;

    async fn open(
        place: &Place,
        way: Way,
        name: &'static str,
        life: Life,
        stock: i64,
    ) -> Result<Self, Failure> {
        let pools = place.open(name, life).await?;
        let scope = Scope::new(pools.writer.clone()).immediate(true).name("sales");
        let scope = scope.statement_timeout(PATIENCE).idle_timeout(PATIENCE);
        let waits = Arc::new(Waits::default());
        let seen = waits.clone();
        let locks = KeyedLock::builder().observe_times(move |timing| {
            if let Timing::Waited(waited) = timing {
                seen.record(waited);
            }
        });
        Ok(Self::new(App {
            store: Store::new(pools, stock).await?,
            scope,
            policies: Policies::new(),
            locks: Arc::new(locks.build()),
            waits,
            order: Arc::default(),
            way,
            name,
            life,
        }))
    }

    async fn admin(&self) -> Result<String, Failure> {
        Ok(self.store.admin(auth::new_token()).await?)
    }

    fn routes(&self) -> Router {
        let (purchase, restock) = match self.way {
            Way::Naive | Way::Lock => (post(naive::purchase), post(naive::restock)),
            Way::ForUpdate => (post(for_update::purchase), post(for_update::restock)),
            Way::Atomic => (post(atomic::purchase), post(atomic::restock)),
            Way::Optimistic => (post(optimistic::purchase), post(optimistic::restock)),
        };
        let register = match self.way {
            Way::Naive => post(naive::register),
            _ => post(register::register),
        };
        let customers = from_fn_with_state(self.clone(), auth::customers);
        let admins = from_fn_with_state(self.clone(), auth::admins);
        Router::new()
            .route("/users", register)
            .route("/sweets", get(search))
            .route("/sweets/{sweet}", get(sweet))
            // The last layer is the first that a request meets: no stranger waits in the queue.
            .route("/sweets/{sweet}/purchase", self.in_order(purchase).route_layer(customers))
            .route("/sweets/{sweet}/restock", self.in_order(restock).route_layer(admins))
            .route("/healthz", get(async || "ok\n"))
            .fallback(async || Problem::new(StatusCode::NOT_FOUND))
            .method_not_allowed_fallback(async || Problem::new(StatusCode::METHOD_NOT_ALLOWED))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(self.clone())
    }

    async fn stocks(&self) -> Result<BTreeMap<i64, i64>, Failure> {
        Ok(self.store.stocks().await?)
    }

    fn figures(&self) -> Figures {
        Figures {
            order: self.order.counts(),
            lock_waits: self.waits.count(),
            longest_wait: self.waits.longest(),
            retries: self.policies.counts(),
            open: self.scope.stats().counts().open(),
            keys_left: self.locks.len(),
        }
    }

    async fn settle(&self) {
        // Keys that stay held are counted.
        self.locks.drained().timeout(GRACE).await.ok();
    }

    async fn close(self, place: &Place) -> Result<(), Failure> {
        place.close(&self.store.pools, self.name, self.life).await
    }
}

impl App {
    /// Puts the lock, if this way has one, and the order of service around a handler.
    fn in_order(&self, handler: MethodRouter<Arc<Self>>) -> MethodRouter<Arc<Self>> {
        let handler = handler.route_layer(from_fn(order::go));
        let handler = match self.way {
            Way::Lock => handler.route_layer(
                KeyedLockLayer::new(self.locks.clone(), path_param("sweet"))
                    .wait(PATIENCE)
                    // A write that is under way when its client hangs up ends before the next request reads.
                    .detached(true)
                    .name("sweets"),
            ),
            _ => handler,
        };
        handler.route_layer(from_fn_with_state(self.order.clone(), order::come))
    }
}
