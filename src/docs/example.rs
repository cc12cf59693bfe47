//! The frame of an example that awaits.

/// Runs an example in a task, with tokio's time paused. The example may use `?`.
///
/// One hidden line stands before it, `# latchwork::__example!(async {`, and one after it, `# });`. With `in real time,` before
/// `async` the time is not paused: for databases, which work on threads of their own. This is a macro because the runtime
/// is a dependency of the examples, not of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! __example {
    (in real time, async { $($code:tt)* }) => {
        $crate::__example!(paused false; $($code)*)
    };
    (async { $($code:tt)* }) => {
        $crate::__example!(paused true; $($code)*)
    };
    (paused $paused:literal; $($code:tt)*) => {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused($paused)
            .build()
            .expect("a runtime starts")
            .block_on(async {
                { $($code)* }
                Ok::<(), Box<dyn std::error::Error>>(())
            })
            .expect("the example succeeds")
    };
}
