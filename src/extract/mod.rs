//! What only axum can do: keys out of a router's path. Needs the feature `axum`.

mod path_param;

pub use self::path_param::{PathParam, path_param};
