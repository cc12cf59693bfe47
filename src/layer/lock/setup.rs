//! What a layer and its services know: see [`KeyedLockLayer`](super::KeyedLockLayer).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::axum::response::{IntoResponse, Response};

use super::counts::{LayerCounts, Outcome};
use super::mode::ModeSwitch;
use super::span::Span;
use crate::keyed::KeyedLock;
use crate::web::Problem;

/// What layer and services know.
pub(super) struct Setup<K, F, S> {
    pub(super) locks: Arc<KeyedLock<K, S>>,
    pub(super) key: F,
    /// How long to wait for a key; `None` is not at all.
    pub(super) wait: Option<Duration>,
    pub(super) max_waiters: usize,
    pub(super) shares_reads: bool,
    pub(super) until_body_end: bool,
    pub(super) is_detached: bool,
    pub(super) shares_guard: bool,
    pub(super) mode: ModeSwitch,
    pub(super) counts: LayerCounts,
    pub(super) name: &'static str,
    pub(super) render: Option<Arc<Render>>,
}

pub(super) type Render = dyn Fn(&Problem) -> Response + Send + Sync;

impl<K, F, S> Setup<K, F, S> {
    pub(super) fn render(&self, problem: Problem) -> Response {
        match &self.render {
            Some(render) => render(&problem),
            None => problem.into_response(),
        }
    }

    /// Counts what came of a request, and tells it.
    pub(super) fn note(&self, span: &Span, outcome: Outcome) {
        self.counts.add(outcome);
        span.outcome(outcome);
    }
}

impl<K, F: Clone, S> Clone for Setup<K, F, S> {
    fn clone(&self) -> Self {
        Self {
            locks: self.locks.clone(),
            key: self.key.clone(),
            mode: self.mode.clone(),
            counts: self.counts.clone(),
            render: self.render.clone(),
            ..*self
        }
    }
}

impl<K, F, S> fmt::Debug for Setup<K, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLockLayer")
            .field("name", &self.name)
            .field("mode", &self.mode)
            .field("wait", &self.wait)
            .field("max_waiters", &self.max_waiters)
            .finish_non_exhaustive()
    }
}
