//! Figures for the [`metrics`](https://docs.rs/metrics) facade. Needs the feature `metrics`.
