#[cfg(all(feature = "axum", feature = "metrics", feature = "serde", feature = "tokio", feature = "tracing"))]
mod beside;
mod compile;
mod programs;
mod programs_async;
mod tidy;
