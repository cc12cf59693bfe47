//! The time of calls, on one thread.

use std::hint::black_box;

use tokio::runtime::Runtime;

use crate::harness::{Watch, per_op};

/// The time of a call, which must succeed.
pub(crate) fn time<E>(ops: u64, mut call: impl FnMut() -> Result<u64, E>) -> f64 {
    let watch = Watch::start();
    for _ in 0..ops {
        assert!(black_box(call().is_ok()), "it succeeds in the end");
    }
    per_op(watch.elapsed(), ops)
}

/// The same in a task.
pub(crate) fn time_async<E>(
    runtime: &Runtime,
    ops: u64,
    mut call: impl AsyncFnMut() -> Result<u64, E>,
) -> f64 {
    runtime.block_on(async {
        let watch = Watch::start();
        for _ in 0..ops {
            assert!(black_box(call().await.is_ok()), "it succeeds in the end");
        }
        per_op(watch.elapsed(), ops)
    })
}
