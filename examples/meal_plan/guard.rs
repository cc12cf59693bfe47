//! The lock for each user: one layer in front of the handler, and its counters.

use std::sync::Arc;

use latchwork::KeyedLock;
use latchwork::{
    extract::{PathParam, path_param},
    layer::{KeyedLockLayer, LayerStats, ModeSwitch, Outcome},
};

pub(crate) struct Guard {
    pub(crate) locks: Arc<KeyedLock<String>>,
    pub(crate) mode: ModeSwitch,
    pub(crate) layer: KeyedLockLayer<String, PathParam>,
}

impl Guard {
    /// One plan at a time for each user. Who comes meanwhile is told so at once, with 409. The key goes when the
    /// handler's future does: on return, `?` and panic, and when the client hangs up.
    pub(crate) fn new(mode: ModeSwitch) -> Self {
        let locks = Arc::new(KeyedLock::builder().name("users").publish_times().build());
        let layer = KeyedLockLayer::new(locks.clone(), path_param("user")).name("plans").mode(&mode);
        Self { locks, mode, layer }
    }

    pub(crate) fn counts(&self) -> LayerStats {
        self.layer.stats()
    }
}

/// Who passed and would have been refused, in words; `None` if nobody.
pub(crate) fn observed(counts: &LayerStats) -> Option<String> {
    let counted =
        Outcome::ALL.iter().copied().filter(|outcome| outcome.is_observed() && counts.of(*outcome) > 0);
    let each: Vec<_> = counted.map(|outcome| format!("{} {}", counts.of(outcome), outcome.name())).collect();
    (!each.is_empty()).then(|| format!("enforced, it would have held up: {}", each.join(", ")))
}
